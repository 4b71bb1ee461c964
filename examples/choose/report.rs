//! How good the picks are: a row or an object for each layer, and the summary of all.

use crate::measure::Time;
use serde::Serialize;

/// What was found out about a layer.
#[derive(Clone, Debug, Serialize)]
pub struct Choice {
    pub name: String,
    pub pick: String,
    pub times: Vec<Time>,
    /// The time of the pick in multiples of the fastest one's.
    pub hot_ratio: f64,
    pub cold_ratio: f64,
}

impl Choice {
    /// Nothing, where the pick was not measured.
    pub fn new(name: String, pick: String, times: Vec<Time>) -> Option<Choice> {
        let picked = times.iter().find(|time| time.lowering == pick)?;
        let ratio =
            |seconds: fn(&Time) -> f64| seconds(picked) / times.iter().map(seconds).fold(f64::INFINITY, f64::min);
        let (hot_ratio, cold_ratio) = (ratio(|time| time.hot_seconds), ratio(|time| time.cold_seconds));
        Some(Choice { name, pick, times, hot_ratio, cold_ratio })
    }
}

/// Of how many layers the pick is as good as the best, and how bad the worst one is.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    pub layers: usize,
    pub good: usize,
    /// The ratio, and the layer's name.
    pub worst: Option<(f64, String)>,
}

/// A pick is as good as the best up to this ratio.
const GOOD: f64 = 1.05;

impl Summary {
    pub fn new(choices: &[Choice], ratio: impl Fn(&Choice) -> f64) -> Summary {
        let worst = choices.iter().max_by(|a, b| ratio(a).total_cmp(&ratio(b)));
        Summary {
            layers: choices.len(),
            good: choices.iter().filter(|choice| ratio(choice) <= GOOD).count(),
            worst: worst.map(|choice| (ratio(choice), choice.name.clone())),
        }
    }

    pub fn line(&self, what: &str) -> String {
        let Summary { layers, good, worst } = self;
        let percent = (GOOD - 1.0) * 100.0;
        let mut line = format!("{what}: in {good} of {layers} layers the pick is within {percent:.0} % of the best");
        if let Some((ratio, name)) = worst {
            line += &format!("; the worst takes {ratio:.2} times as long, {name}");
        }
        line
    }
}

/// An aligned table, two rows a layer: hot and cold.
pub struct Table {
    name_width: usize,
    lowerings: Vec<String>,
}

impl Table {
    pub fn new<'a>(names: impl Iterator<Item = &'a str>, lowerings: Vec<String>) -> Self {
        Table { name_width: names.map(str::len).max().unwrap_or(0).max("layer".len()), lowerings }
    }

    pub fn head(&self) -> String {
        let mut line = format!("{:<width$}  {:<14}  us    ", "layer", "pick", width = self.name_width);
        for lowering in &self.lowerings {
            line += &format!("{lowering:>0$}  ", column(lowering));
        }
        line + "of best"
    }

    pub fn rows(&self, choice: &Choice) -> String {
        let row = |name: &str, pick: &str, what: &str, seconds: fn(&Time) -> f64, ratio: f64| {
            let mut line = format!("{name:<0$}  {pick:<14}  {what:<4}  ", self.name_width);
            for lowering in &self.lowerings {
                let time = choice.times.iter().find(|time| time.lowering == *lowering);
                let time = time.map_or("-".to_owned(), |time| format!("{:.1}", seconds(time) * 1e6));
                line += &format!("{time:>0$}  ", column(lowering));
            }
            line + &format!("{ratio:>7.2}")
        };
        row(&choice.name, &choice.pick, "hot", |time| time.hot_seconds, choice.hot_ratio)
            + "\n"
            + &row("", "", "cold", |time| time.cold_seconds, choice.cold_ratio)
    }
}

fn column(lowering: &str) -> usize {
    lowering.len().max(9)
}
