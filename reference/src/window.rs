//! The geometry of a window that slides over height (axis 0) and width (axis 1).

/// Kernel, stride, dilation and padding of a convolution or pooling window, per axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Taps per axis.
    pub kernel: [usize; 2],
    /// Input positions between neighbouring windows.
    pub stride: [usize; 2],
    /// Input positions between neighbouring taps.
    pub dilation: [usize; 2],
    /// `[[top, bottom], [left, right]]`; a negative amount crops the input.
    pub pad: [[isize; 2]; 2],
}

impl Window {
    /// A window of `kernel` taps with stride 1, dilation 1 and no padding.
    pub const fn new(kernel: [usize; 2]) -> Self {
        Self { kernel, stride: [1, 1], dilation: [1, 1], pad: [[0, 0], [0, 0]] }
    }

    /// `floor((len + pad_begin + pad_end - dilation * (k - 1) - 1) / stride) + 1`; 0 if the kernel does not fit.
    pub fn conv_out_size(&self, len: usize, axis: usize) -> usize {
        let steps = self.slack(len, axis).div_euclid(self.stride[axis] as isize);
        (steps + 1).max(0) as usize
    }

    /// [`Window::conv_out_size`], or with `ceil_mode` the quotient rounded up, less one if the last window would then
    /// start in the padding after the input, at or beyond `len + pad_begin` (PyTorch; ONNX from opset 19).
    ///
    /// With `ceil_mode` a window may overhang the padded input, so a kernel larger than it can still give an output.
    /// (What a negative `pad_end` crops does not count as input.)
    pub fn pool_out_size(&self, len: usize, axis: usize, ceil_mode: bool) -> usize {
        if !ceil_mode {
            return self.conv_out_size(len, axis);
        }
        let stride = self.stride[axis] as isize;
        let [pad_begin, pad_end] = self.pad[axis];
        let size = (self.slack(len, axis) + stride - 1).div_euclid(stride) + 1;
        let last_start = (size - 1) * stride;
        let in_trailing_padding = last_start >= len as isize + pad_begin + pad_end.min(0);
        (if in_trailing_padding { size - 1 } else { size }).max(0) as usize
    }

    /// `stride * (len - 1) + dilation * (k - 1) + 1 + output_padding - pad_begin - pad_end`: the size of a transposed
    /// convolution's output; 0 if that is negative.
    pub fn transpose_out_size(&self, len: usize, axis: usize, output_padding: usize) -> usize {
        let [pad_begin, pad_end] = self.pad[axis];
        let grid = self.stride[axis] as isize * (len as isize - 1) + self.extent(axis);
        (grid + output_padding as isize - pad_begin - pad_end).max(0) as usize
    }

    /// `o * stride + k * dilation - pad_begin`: where tap `k` of window `o` lies; negative or beyond the input in the
    /// padding.
    pub fn tap(&self, o: usize, k: usize, axis: usize) -> isize {
        (o * self.stride[axis] + k * self.dilation[axis]) as isize - self.pad[axis][0]
    }

    /// The pixel `[iy, ix]` of an input of `size` `[h, w]` under tap `[ky, kx]` of window `[oy, ox]`, or `None` where
    /// that tap falls outside.
    pub fn source(&self, [oy, ox]: [usize; 2], [ky, kx]: [usize; 2], [h, w]: [usize; 2]) -> Option<[usize; 2]> {
        let (iy, ix) = (self.tap(oy, ky, 0), self.tap(ox, kx, 1));
        let inside = self.is_inside(iy, h, 0) && self.is_inside(ix, w, 1);
        inside.then_some([iy as usize, ix as usize])
    }

    /// Whether position `i` lies in an input of `len`, and not in what a negative padding crops.
    pub fn is_inside(&self, i: isize, len: usize, axis: usize) -> bool {
        (0..len as isize).contains(&i) && self.is_inside_padded(i, len, axis)
    }

    /// Whether position `i` lies in the padded input `[-pad_begin, len + pad_end)`.
    pub fn is_inside_padded(&self, i: isize, len: usize, axis: usize) -> bool {
        let [pad_begin, pad_end] = self.pad[axis];
        (-pad_begin..len as isize + pad_end).contains(&i)
    }

    /// `dilation * (k - 1) + 1`: input positions from the first tap to the last.
    fn extent(&self, axis: usize) -> isize {
        self.dilation[axis] as isize * (self.kernel[axis] as isize - 1) + 1
    }

    /// How far the first window can slide inside the padded input; negative if it does not fit.
    fn slack(&self, len: usize, axis: usize) -> isize {
        let [pad_begin, pad_end] = self.pad[axis];
        len as isize + pad_begin + pad_end - self.extent(axis)
    }
}
