//! Adam with decoupled weight decay, and its learning rate over time.

/// Numbers that are learned, their gradient, and what Adam remembers of earlier gradients.
pub struct Parameter {
    pub values: Vec<f32>,
    pub gradient: Vec<f32>,
    mean: Vec<f32>,
    square: Vec<f32>,
    decays: bool,
}

impl Parameter {
    pub fn weights(values: Vec<f32>) -> Parameter {
        let zeros = vec![0.0; values.len()];
        Parameter { values, gradient: zeros.clone(), mean: zeros.clone(), square: zeros, decays: true }
    }

    /// As weights, without decay.
    pub fn bias(values: Vec<f32>) -> Parameter {
        Parameter { decays: false, ..Parameter::weights(values) }
    }
}

/// Kingma and Ba, "Adam: a method for stochastic optimization", 2015; the decay of the weights as Loshchilov and Hutter,
/// "Decoupled weight decay regularization", 2019.
pub struct Adam {
    step: usize,
    steps: usize,
}

// Chosen, as the layers' sizes were, by the held-out accuracy of the seeds 1 to 6; ten others (101 to 110) then gave
// 98.9 to 99.2 %.
const RATE: f32 = 1e-2;
const WARM_UP: f32 = 0.1;
const DECAY: f32 = 0.1;
const BETA1: f32 = 0.9;
const BETA2: f32 = 0.99;
const EPSILON: f32 = 1e-8;

impl Adam {
    /// For a training of so many steps.
    pub fn new(steps: usize) -> Adam {
        Adam { step: 0, steps }
    }

    /// Begins the next step.
    pub fn advance(&mut self) {
        self.step += 1;
    }

    /// The learning rate rises over the first tenth of all steps, then falls to 0 as a cosine does.
    fn rate(&self) -> f32 {
        let done = self.step as f32 / self.steps as f32;
        match done < WARM_UP {
            true => RATE * done / WARM_UP,
            false => RATE * 0.5 * (1.0 + (std::f32::consts::PI * (done - WARM_UP) / (1.0 - WARM_UP)).cos()),
        }
    }

    /// Moves the values against their gradient.
    pub fn update(&self, p: &mut Parameter) {
        let (rate, decay) = (self.rate(), if p.decays { DECAY } else { 0.0 });
        let [mean_bias, square_bias] = [BETA1, BETA2].map(|beta| 1.0 - beta.powi(self.step as i32));
        for (((value, &g), m), s) in p.values.iter_mut().zip(&p.gradient).zip(&mut p.mean).zip(&mut p.square) {
            *m = BETA1 * *m + (1.0 - BETA1) * g;
            *s = BETA2 * *s + (1.0 - BETA2) * g * g;
            let direction = (*m / mean_bias) / ((*s / square_bias).sqrt() + EPSILON);
            *value -= rate * (direction + decay * *value);
        }
    }
}
