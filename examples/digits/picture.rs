//! The picture: how the network learned, what its first layer looks for, and what it misreads. SVG with generic font
//! families, so no font has to be at hand.

use crate::data::{Digit, SIDE};
use crate::network::{FILTER_SIDE, FILTERS};
use crate::training::{Epoch, Reading};
use anyhow::Result;
use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// What is drawn.
pub struct Picture<'a> {
    pub title: String,
    pub subtitle: String,
    pub epochs: &'a [Epoch],
    /// `[FILTER_SIDE, FILTER_SIDE, 1, FILTERS]`.
    pub filters: &'a [f32],
    /// All held-out images with their readings.
    pub readings: Vec<(&'a Digit, &'a Reading)>,
}

type Area<'a, 'b> = DrawingArea<SVGBackend<'b>, Shift>;

const SIZE: (u32, u32) = (1200, 872);
const MARGIN: i32 = 48;
/// Left edge of the right column.
const RIGHT: i32 = 880;

const PAPER: RGBColor = RGBColor(255, 255, 255);
const PANEL: RGBColor = RGBColor(243, 244, 247);
const INK: RGBColor = RGBColor(24, 32, 48);
const SOFT: RGBColor = RGBColor(98, 108, 124);
const GRID: RGBColor = RGBColor(226, 229, 235);
const BLUE: RGBColor = RGBColor(31, 98, 196);
const RED: RGBColor = RGBColor(196, 62, 38);
const GREEN: RGBColor = RGBColor(22, 130, 96);

impl Picture<'_> {
    /// The picture as SVG.
    pub fn to_svg(&self) -> Result<String> {
        let mut svg = String::new();
        {
            let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
            root.fill(&PAPER)?;
            text(&root, &self.title, (MARGIN, 30), 30, INK, HPos::Left)?;
            text(&root, &self.subtitle, (MARGIN, 70), 17, SOFT, HPos::Left)?;
            self.learning_curve(&root)?;
            self.first_layer(&root)?;
            self.misread(&root)?;
            root.present()?;
        }
        Ok(svg)
    }

    fn learning_curve(&self, root: &Area) -> Result<()> {
        let curve = |f: fn(&Epoch) -> f64| self.epochs.iter().map(|e| (e.number as f64, f(e))).collect::<Vec<_>>();
        let accuracy = curve(|e| 100.0 * e.accuracy);
        // What is worth looking at happens at the top.
        let reached = accuracy.iter().map(|&(_, percent)| percent).fold(0.0, f64::max);
        let floor = if reached > 95.0 { 90.0 } else { 0.0 };
        heading(root, "Accuracy on held-out digits, %", (MARGIN, 116))?;
        let place = [(MARGIN, 142), (RIGHT - 16, 330)];
        let range = floor..100.0 + 0.02 * (100.0 - floor);
        let labels: [fn(&f64) -> String; 2] = [|y| format!("{y:.0}"), |y| format!("{y:.1}")];
        self.chart(root, place, range, &[(above(floor, &accuracy), BLUE)], labels)?;

        let (train, held_out) = (curve(|e| e.loss.max(1e-6)), curve(|e| e.held_out_loss.max(1e-6)));
        let losses = || train.iter().chain(&held_out).map(|&(_, loss)| loss);
        let range = losses().fold(f64::INFINITY, f64::min) * 0.8..losses().fold(0.0, f64::max) * 1.25;
        heading(root, "Loss (cross-entropy, logarithmic) over epochs", (MARGIN, 356))?;
        text(root, "training, shifted images", (RIGHT - 146, 358), 16, RED, HPos::Right)?;
        text(root, "held out", (RIGHT - 64, 358), 16, GREEN, HPos::Right)?;
        let place = [(MARGIN, 382), (RIGHT - 16, 594)];
        let series = [(train, RED), (held_out, GREEN)];
        self.chart(root, place, range.log_scale(), &series, [|y| format!("{y}"), |y| format!("{y:.3}")])
    }

    /// Some lines over the epochs, each with a dot and its value at its end.
    fn chart<Y>(
        &self,
        root: &Area,
        [(left, top), (right, bottom)]: [(i32, i32); 2],
        y: impl AsRangedCoord<CoordDescType = Y, Value = f64>,
        series: &[(Vec<(f64, f64)>, RGBColor)],
        [axis_label, end_label]: [fn(&f64) -> String; 2],
    ) -> Result<()>
    where
        Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        let area = root.clone().shrink((left, top), (right - left, bottom - top));
        let epochs = 0.0..self.epochs.len() as f64 * 1.005;
        let mut chart = ChartBuilder::on(&area)
            .margin_right(44)
            .x_label_area_size(24)
            .y_label_area_size(46)
            .build_cartesian_2d(epochs, y)?;
        chart
            .configure_mesh()
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .axis_style(GRID)
            .label_style(style(14, SOFT))
            .x_labels(8)
            .y_labels(6)
            .x_label_formatter(&|x| if x.fract() == 0.0 { format!("{x:.0}") } else { String::new() })
            .y_label_formatter(&axis_label)
            .draw()?;
        let end = |line: &[(f64, f64)]| line.last().map_or(0.0, |&(_, y)| y);
        let highest = series.iter().map(|(line, _)| end(line)).fold(f64::NEG_INFINITY, f64::max);
        for (line, color) in series {
            chart.draw_series(LineSeries::new(line.iter().copied(), color.stroke_width(3)))?;
            // Labels of lines that end close together keep apart.
            let (side, dy) = if end(line) == highest { (VPos::Bottom, 5) } else { (VPos::Top, -5) };
            let style = style(15, *color).pos(Pos::new(HPos::Left, side));
            chart.draw_series(line.last().map(|last| {
                EmptyElement::at(*last)
                    + Circle::new((0, 0), 5, color.filled())
                    + Text::new(end_label(&last.1), (9, dy), style)
            }))?;
        }
        Ok(())
    }

    fn first_layer(&self, root: &Area) -> Result<()> {
        const COLUMNS: usize = 4;
        const CELL: i32 = 12;
        const STEP: i32 = FILTER_SIDE as i32 * CELL + 11;
        const TOP: i32 = 146;
        const WIDTH: i32 = COLUMNS as i32 * STEP - 12;
        heading(root, &format!("The {FILTERS} filters of the first layer"), (RIGHT, 116))?;
        let most = self.filters.iter().map(|w| w.abs()).fold(f32::MIN_POSITIVE, f32::max);
        for filter in 0..FILTERS {
            let corner = (RIGHT + (filter % COLUMNS) as i32 * STEP, TOP + (filter / COLUMNS) as i32 * STEP);
            pixels(root, corner, FILTER_SIDE, CELL, |i| Some(diverging(self.filters[i * FILTERS + filter] / most)))?;
        }
        // The scale.
        const STEPS: i32 = 24;
        let top = TOP + FILTERS.div_ceil(COLUMNS) as i32 * STEP;
        for i in 0..STEPS {
            let color = diverging((2 * i + 1 - STEPS) as f32 / (STEPS - 1) as f32);
            rectangle(root, (RIGHT + i * WIDTH / STEPS, top), (RIGHT + (i + 1) * WIDTH / STEPS, top + 8), color)?;
        }
        for (label, x, side) in [
            (format!("−{most:.1}"), RIGHT, HPos::Left),
            ("0".into(), RIGHT + WIDTH / 2, HPos::Center),
            (format!("+{most:.1}"), RIGHT + WIDTH, HPos::Right),
        ] {
            text(root, &label, (x, top + 12), 14, SOFT, side)?;
        }
        Ok(())
    }

    /// The misread digits; where they are few, those that were read with the least confidence follow.
    fn misread(&self, root: &Area) -> Result<()> {
        const SHOWN: usize = 7;
        const CELL: i32 = 16;
        const STEP: i32 = 162;
        let certainty = |r: &Reading| r.probabilities[r.digit()];
        let (mut wrong, mut right): (Vec<_>, Vec<_>) = self.readings.iter().partition(|(_, r)| !r.is_right());
        wrong.sort_by(|(_, a), (_, b)| certainty(b).total_cmp(&certainty(a)));
        right.sort_by(|(_, a), (_, b)| certainty(a).total_cmp(&certainty(b)));
        let all = self.readings.len();
        let title = match wrong.len() {
            0 => format!("Not one of {all} held-out digits is misread; the least certain"),
            1..SHOWN => {
                format!("{} of {all} held-out digits misread, and the least certain of the others", wrong.len())
            }
            _ => format!("{} of {all} held-out digits misread, the most certain ones", wrong.len()),
        };
        heading(root, &title, (MARGIN, 626))?;
        for (i, (digit, reading)) in wrong.iter().chain(&right).take(SHOWN).enumerate() {
            let (x, y) = (MARGIN + i as i32 * STEP, 660);
            let side = SIDE as i32 * CELL - 1;
            rectangle(root, (x, y), (x + side, y + side), PANEL)?;
            pixels(root, (x, y), SIDE, CELL, |p| (digit.pixels[p] > 0.0).then(|| blend(PANEL, INK, digit.pixels[p])))?;
            let middle = x + side / 2;
            let color = if reading.is_right() { GREEN } else { RED };
            let read = format!("read as {} ({:.0} %)", reading.digit(), 100.0 * certainty(reading));
            text(root, &format!("a {}", reading.label), (middle, y + 136), 17, INK, HPos::Center)?;
            text(root, &read, (middle, y + 158), 16, color, HPos::Center)?;
        }
        Ok(())
    }
}

fn style(size: i32, color: RGBColor) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&color)
}

fn text(root: &Area, text: &str, at: (i32, i32), size: i32, color: RGBColor, side: HPos) -> Result<()> {
    Ok(root.draw(&Text::new(text, at, style(size, color).pos(Pos::new(side, VPos::Top))))?)
}

fn heading(root: &Area, title: &str, at: (i32, i32)) -> Result<()> {
    text(root, title, at, 19, INK, HPos::Left)
}

fn rectangle(root: &Area, from: (i32, i32), to: (i32, i32), color: RGBColor) -> Result<()> {
    Ok(root.draw(&Rectangle::new([from, to], color.filled()))?)
}

/// A square image of squares, with a hair between them. What has no color is left as it is.
fn pixels(
    root: &Area,
    (x, y): (i32, i32),
    side: usize,
    cell: i32,
    color: impl Fn(usize) -> Option<RGBColor>,
) -> Result<()> {
    for (i, color) in (0..side * side).filter_map(|i| Some((i, color(i)?))) {
        let corner = (x + (i % side) as i32 * cell, y + (i / side) as i32 * cell);
        rectangle(root, corner, (corner.0 + cell - 1, corner.1 + cell - 1), color)?;
    }
    Ok(())
}

/// A curve from where it first reaches `floor`; what falls below later stays on it.
fn above(floor: f64, curve: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let start = curve.iter().position(|&(_, y)| y >= floor).unwrap_or(0);
    let mut part: Vec<_> = curve[start..].iter().map(|&(x, y)| (x, y.max(floor))).collect();
    if start > 0 {
        let [(x0, y0), (x1, y1)] = [curve[start - 1], curve[start]];
        part.insert(0, (x0 + (x1 - x0) * (floor - y0) / (y1 - y0), floor));
    }
    part
}

/// From red (-1) over the panel's grey (0) to blue (1).
fn diverging(x: f32) -> RGBColor {
    blend(PANEL, if x < 0.0 { RED } else { BLUE }, x.abs())
}

fn blend(from: RGBColor, to: RGBColor, share: f32) -> RGBColor {
    let mix = |a: u8, b: u8| (f32::from(a) + (f32::from(b) - f32::from(a)) * share.clamp(0.0, 1.0)).round() as u8;
    RGBColor(mix(from.0, to.0), mix(from.1, to.1), mix(from.2, to.2))
}
