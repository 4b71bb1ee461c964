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

const SIZE: (u32, u32) = (1200, 860);
const MARGIN: i32 = 48;
/// Left edge of the right column.
const RIGHT: i32 = 776;

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
        let lowest = self.epochs.iter().map(|e| e.accuracy).fold(1.0, f64::min);
        let bottom = ((lowest * 20.0).floor() * 5.0).min(95.0);
        let accuracy = self.epochs.iter().map(|e| (e.number as f64, 100.0 * e.accuracy)).collect();
        heading(root, "Accuracy on held-out digits, %", (MARGIN, 116))?;
        let place = [(MARGIN, 142), (RIGHT - 60, 320)];
        self.chart(root, place, bottom..100.4, &[(accuracy, BLUE, None)], |y| format!("{y:.0}"))?;

        let series = |f: fn(&Epoch) -> f64| self.epochs.iter().map(|e| (e.number as f64, f(e).max(1e-6))).collect();
        let (train, held_out): (Vec<_>, Vec<_>) = (series(|e| e.loss), series(|e| e.held_out_loss));
        let all = || train.iter().chain(&held_out).map(|&(_, loss)| loss);
        let range = all().fold(f64::INFINITY, f64::min) * 0.8..all().fold(0.0, f64::max) * 1.25;
        heading(root, "Loss (cross-entropy, logarithmic) over epochs", (MARGIN, 340))?;
        let place = [(MARGIN, 366), (RIGHT - 60, 570)];
        let series = [(train, RED, Some("training, shifted images")), (held_out, GREEN, Some("held out"))];
        self.chart(root, place, range.log_scale(), &series, |y| format!("{y}"))
    }

    /// Some lines over the epochs, each with a dot at its end.
    fn chart<Y>(
        &self,
        root: &Area,
        [(left, top), (right, bottom)]: [(i32, i32); 2],
        y: impl AsRangedCoord<CoordDescType = Y, Value = f64>,
        series: &[(Vec<(f64, f64)>, RGBColor, Option<&str>)],
        label: fn(&f64) -> String,
    ) -> Result<()>
    where
        Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        let area = root.clone().shrink((left, top), (right - left, bottom - top));
        let epochs = 0.0..self.epochs.len() as f64 * 1.005;
        let mut chart =
            ChartBuilder::on(&area).x_label_area_size(24).y_label_area_size(46).build_cartesian_2d(epochs, y)?;
        chart
            .configure_mesh()
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .axis_style(GRID)
            .label_style(style(14, SOFT))
            .x_labels(8)
            .y_labels(6)
            .x_label_formatter(&|x| format!("{x:.0}"))
            .y_label_formatter(&label)
            .draw()?;
        for (line, color, name) in series {
            let drawn = chart.draw_series(LineSeries::new(line.iter().copied(), color.stroke_width(3)))?;
            if let Some(name) = name {
                let color = *color;
                drawn
                    .label(*name)
                    .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 20, y)], color.stroke_width(3)));
            }
            chart.draw_series(line.last().map(|&last| Circle::new(last, 5, color.filled())))?;
        }
        if series.iter().any(|(_, _, name)| name.is_some()) {
            chart
                .configure_series_labels()
                .position(SeriesLabelPosition::UpperRight)
                .background_style(PAPER)
                .label_font(style(15, INK))
                .draw()?;
        }
        Ok(())
    }

    fn first_layer(&self, root: &Area) -> Result<()> {
        const COLUMNS: usize = 4;
        const CELL: i32 = 16;
        const STEP: i32 = FILTER_SIDE as i32 * CELL + 14;
        heading(root, &format!("The {FILTERS} filters of the first layer"), (RIGHT, 116))?;
        let most = self.filters.iter().map(|w| w.abs()).fold(f32::MIN_POSITIVE, f32::max);
        for filter in 0..FILTERS {
            let corner = (RIGHT + (filter % COLUMNS) as i32 * STEP, 150 + (filter / COLUMNS) as i32 * STEP);
            pixels(root, corner, FILTER_SIDE, CELL, |i| diverging(self.filters[i * FILTERS + filter] / most))?;
        }
        // The scale.
        let (top, width) = (150 + 4 * STEP + 6, 4 * STEP - 14);
        const STEPS: i32 = 24;
        for i in 0..STEPS {
            let color = diverging((2 * i + 1 - STEPS) as f32 / (STEPS - 1) as f32);
            rectangle(root, (RIGHT + i * width / STEPS, top), (RIGHT + (i + 1) * width / STEPS, top + 10), color)?;
        }
        for (label, x, side) in [
            (format!("-{most:.2}"), RIGHT, HPos::Left),
            ("0".into(), RIGHT + width / 2, HPos::Center),
            (format!("+{most:.2}"), RIGHT + width, HPos::Right),
        ] {
            text(root, &label, (x, top + 16), 14, SOFT, side)?;
        }
        Ok(())
    }

    /// The misread digits; where they are few, those that were read with the least confidence follow.
    fn misread(&self, root: &Area) -> Result<()> {
        const SHOWN: usize = 7;
        const CELL: i32 = 16;
        const STEP: i32 = 160;
        let mut readings = self.readings.clone();
        let certainty = |r: &Reading| r.probabilities[r.digit()];
        readings.sort_by(|(_, a), (_, b)| {
            a.is_right().cmp(&b.is_right()).then(certainty(a).total_cmp(&certainty(b)))
        });
        let wrong = readings.iter().filter(|(_, reading)| !reading.is_right()).count();
        let title = match wrong {
            0 => format!("None of {} held-out digits is misread; the least certain", readings.len()),
            _ if wrong < SHOWN => {
                format!("{wrong} of {} held-out digits misread, then the least certain", readings.len())
            }
            _ => format!("{wrong} of {} held-out digits misread, some of them", readings.len()),
        };
        heading(root, &title, (MARGIN, 604))?;
        for (i, (digit, reading)) in readings.iter().take(SHOWN).enumerate() {
            let (x, y) = (MARGIN + i as i32 * STEP, 640);
            pixels(root, (x, y), SIDE, CELL, |p| blend(PANEL, INK, digit.pixels[p]))?;
            let middle = x + SIDE as i32 * CELL / 2;
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

/// A square image of squares, with a hair of paper between them.
fn pixels(root: &Area, (x, y): (i32, i32), side: usize, cell: i32, color: impl Fn(usize) -> RGBColor) -> Result<()> {
    for i in 0..side * side {
        let corner = (x + (i % side) as i32 * cell, y + (i / side) as i32 * cell);
        rectangle(root, corner, (corner.0 + cell - 1, corner.1 + cell - 1), color(i))?;
    }
    Ok(())
}

/// From red (-1) over the panel's grey (0) to blue (1).
fn diverging(x: f32) -> RGBColor {
    blend(PANEL, if x < 0.0 { RED } else { BLUE }, x.abs())
}

fn blend(from: RGBColor, to: RGBColor, share: f32) -> RGBColor {
    let mix = |a: u8, b: u8| (f32::from(a) + (f32::from(b) - f32::from(a)) * share.clamp(0.0, 1.0)).round() as u8;
    RGBColor(mix(from.0, to.0), mix(from.1, to.1), mix(from.2, to.2))
}
