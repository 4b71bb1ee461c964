//! The picture: the largest errors by layer and form. SVG with generic font families, so no font has to be at hand.

use crate::layers::Inputs;
use crate::measure::Measured;
use anyhow::Result;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

type Area<'a, 'b> = DrawingArea<SVGBackend<'b>, Shift>;

const WIDTH: u32 = 1200;
const TOP: i32 = 148;
const ROW: i32 = 22;
/// Between layers.
const GAP: i32 = 14;
const LEFT: i32 = 290;
const RIGHT: i32 = 1150;

const PAPER: RGBColor = RGBColor(255, 255, 255);
const INK: RGBColor = RGBColor(24, 32, 48);
const SOFT: RGBColor = RGBColor(98, 108, 124);
const GRID: RGBColor = RGBColor(226, 229, 235);
/// As many as there are inputs.
const COLORS: [RGBColor; 4] =
    [RGBColor(31, 98, 196), RGBColor(22, 130, 96), RGBColor(196, 62, 38), RGBColor(140, 90, 190)];

/// What the default accuracy stays below.
const ALLOWED: f64 = 3e-5;

/// A row of the picture: a lowering of a layer, with all inputs.
struct Row<'a> {
    layer: &'a str,
    lowering: &'a str,
    is_default: bool,
    largest: Vec<(&'a str, f64)>,
}

/// The picture as SVG.
pub fn draw(all: &[Measured]) -> Result<String> {
    let rows = rows(all);
    let layers = rows.chunk_by(|a, b| a.layer == b.layer).count() as i32;
    let bottom = TOP + ROW * rows.len() as i32 + GAP * layers;
    let largest = || all.iter().map(|measured| measured.largest).filter(|&error| error > 0.0);
    let range = largest().fold(f64::INFINITY, f64::min) * 0.7..largest().fold(ALLOWED, f64::max) * 1.4;
    let x = |error: f64| {
        let share = (error.max(range.start) / range.start).ln() / (range.end / range.start).ln();
        LEFT + ((RIGHT - LEFT) as f64 * share) as i32
    };
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH, bottom as u32 + 40)).into_drawing_area();
        root.fill(&PAPER)?;
        text(&root, "Largest errors of direct sums and of transforms", (40, 26), 28, INK, HPos::Left)?;
        let outputs = all.iter().map(|measured| measured.outputs).min().unwrap_or(0);
        let subtitle = format!(
            "f32, at least {outputs} outputs each, outputs of variance 1; pale names: only where the accuracy is relaxed"
        );
        text(&root, &subtitle, (40, 64), 16, SOFT, HPos::Left)?;
        legend(&root)?;
        grid(&root, &x, range.clone(), bottom)?;
        let (mut top, mut before) = (TOP, "");
        for row in &rows {
            if row.layer != before {
                top += if before.is_empty() { 0 } else { GAP };
                text(&root, row.layer, (40, top), 16, INK, HPos::Left)?;
                before = row.layer;
            }
            let color = if row.is_default { INK } else { SOFT };
            text(&root, row.lowering, (LEFT - 16, top), 15, color, HPos::Right)?;
            for &(inputs, error) in &row.largest {
                let color = COLORS[Inputs::ALL.iter().position(|i| i.name() == inputs).unwrap_or(0)];
                root.draw(&Circle::new((x(error), top + 9), 5, color.mix(0.85).filled()))?;
            }
            top += ROW;
        }
        root.present()?;
    }
    Ok(svg)
}

fn rows(all: &[Measured]) -> Vec<Row<'_>> {
    let mut rows: Vec<Row> = Vec::new();
    for m in all {
        let found = rows.iter().position(|row| row.layer == m.layer && row.lowering == m.lowering);
        let at = found.unwrap_or_else(|| {
            // Beside its layer's others.
            let end = rows.iter().rposition(|row| row.layer == m.layer).map_or(rows.len(), |last| last + 1);
            let (layer, lowering, is_default) = (m.layer.as_str(), m.lowering.as_str(), m.is_default);
            rows.insert(end, Row { layer, lowering, is_default, largest: Vec::new() });
            end
        });
        rows[at].largest.push((m.inputs, m.largest));
    }
    rows
}

fn legend(root: &Area) -> Result<()> {
    let mut left = LEFT;
    for (inputs, color) in Inputs::ALL.iter().zip(COLORS) {
        root.draw(&Circle::new((left, 101), 5, color.filled()))?;
        text(root, inputs.name(), (left + 12, 92), 15, INK, HPos::Left)?;
        left += 130;
    }
    Ok(())
}

/// A line for each power of ten, and one for what is allowed.
fn grid(root: &Area, x: &dyn Fn(f64) -> i32, range: std::ops::Range<f64>, bottom: i32) -> Result<()> {
    let line = |error: f64, color: RGBColor, width: u32| {
        root.draw(&PathElement::new([(x(error), TOP - 8), (x(error), bottom)], color.stroke_width(width)))
    };
    for power in -9..0 {
        let error = 10f64.powi(power);
        if range.contains(&error) {
            line(error, GRID, 2)?;
            for y in [TOP - 22, bottom + 8] {
                text(root, &format!("1e{power}"), (x(error), y), 14, SOFT, HPos::Center)?;
            }
        }
    }
    line(ALLOWED, COLORS[2], 1)?;
    for y in [TOP - 22, bottom + 8] {
        text(root, &format!("{ALLOWED:e}"), (x(ALLOWED), y), 14, COLORS[2], HPos::Center)?;
    }
    Ok(())
}

fn text(root: &Area, text: &str, at: (i32, i32), size: i32, color: RGBColor, side: HPos) -> Result<()> {
    let style = ("sans-serif", size).into_font().color(&color).pos(Pos::new(side, VPos::Top));
    Ok(root.draw(&Text::new(text, at, style))?)
}
