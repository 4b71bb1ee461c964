//! Zero padding as an operator of its own. (Convolutions and pools pad by themselves, without a copy.)

use crate::element::Element;
use crate::error::Error;
use crate::run::Run;
use crate::tensor::{View, ViewMut, check_shape};
use crate::tiles::{Box4, Grid, Parts, Tile};

/// Rows of a tile.
const ROWS: usize = 4;
/// Channels of a tile where they are not contiguous: so few that the cache keeps a line of each.
const CHANNELS: usize = 16;

/// `[n, top + h + bottom, left + w + right, c]`.
pub(crate) fn padded_shape([n, h, w, c]: [usize; 4], pad: [[usize; 2]; 2]) -> Result<[usize; 4], Error> {
    let padded = |len: usize, [before, after]: [usize; 2]| {
        len.checked_add(before).and_then(|len| len.checked_add(after)).ok_or(Error::Overflow { argument: "pad" })
    };
    Ok([n, padded(h, pad[0])?, padded(w, pad[1])?, c])
}

/// `y[n, top + iy, left + ix, c] = x[n, iy, ix, c]`, zero elsewhere.
///
/// `x` is `[n, h, w, c]`, `pad` is `[[top, bottom], [left, right]]`, and `y` is
/// `[n, top + h + bottom, left + w + right, c]`.
///
/// ```
/// use gemmule::{Run, Tensor, zero_pad};
/// let x = Tensor::filled([1, 1, 2, 1], 5.0f32)?;
/// let mut y = Tensor::filled([1, 2, 3, 1], f32::NAN)?;
/// zero_pad(x.view(), [[1, 0], [0, 1]], y.view_mut(), Run::new())?;
/// assert_eq!(y.as_slice(), [0.0, 0.0, 0.0, 5.0, 5.0, 0.0]);
/// # Ok::<(), gemmule::Error>(())
/// ```
///
/// # Errors
/// [`Error::Shape`] for `y`, [`Error::Overflow`], and as [`Run`] says.
pub fn zero_pad<T: Element>(
    x: View<'_, T>,
    pad: [[usize; 2]; 2],
    y: ViewMut<'_, T>,
    run: Run<'_, T>,
) -> Result<(), Error> {
    let shape @ [n, _, _, c] = padded_shape(x.shape(), pad)?;
    check_shape("y", shape, y.shape())?;
    run.level_or_best()?;
    if shape.contains(&0) {
        return Ok(());
    }
    let is_scattered = x.strides()[3] != 1 || y.strides()[3] != 1;
    let channels = if is_scattered { c.min(CHANNELS) } else { c };
    let grid = Grid::new([
        Parts::up_to(n, 1),
        Parts::up_to(shape[1], ROWS),
        Parts::whole(shape[2]),
        Parts::up_to(c, channels),
    ]);
    let origin = [pad[0][0], pad[1][0]];
    run.for_each_tile(grid, Tile::new(y), 0, shape.iter().product(), |part, y, _| pad_tile(x, origin, part, y))
}

/// One tile: rows of `y`, all columns, some channels.
fn pad_tile<T: Element>(x: View<'_, T>, origin: [usize; 2], part: &Box4, y: &mut Tile<'_, T>) {
    let [_, h, w, _] = x.shape();
    let [n, rows, cols, channels] = *part;
    let (zeros, mut buffer) = ([T::ZERO; CHANNELS], [T::ZERO; CHANNELS]);
    for (oy, ox) in (0..rows.count).flat_map(|oy| (0..cols.count).map(move |ox| (oy, ox))) {
        let iy = (rows.start + oy).checked_sub(origin[0]).filter(|&iy| iy < h);
        let ix = ox.checked_sub(origin[1]).filter(|&ix| ix < w);
        match (iy.zip(ix), y.slice([0, oy, ox], 0, channels.count)) {
            (Some((iy, ix)), _) => {
                let pixel = x.pixel([n.start, iy, ix], channels.start, channels.count, &mut buffer);
                y.put([0, oy, ox], 0, pixel);
            }
            (None, Some(pixel)) => pixel.fill(T::ZERO),
            (None, None) => y.put([0, oy, ox], 0, &zeros[..channels.count]),
        }
    }
}
