//! The array type, its index order, and zero padding.

use gemmule_reference::*;

#[test]
fn row_major() {
    let mut a = Array4::from_fn([2, 3, 4, 5], |[n, h, w, c]| n * 1000 + h * 100 + w * 10 + c);
    assert_eq!(a.data[60 + 2 * 20 + 3 * 5 + 4], 1234);
    assert_eq!(a[[1, 2, 3, 4]], 1234);
    a[[0, 1, 0, 2]] = 7;
    assert_eq!(a.data[22], 7);
    assert_eq!(indices([2, 1, 1, 2]).collect::<Vec<_>>(), [[0, 0, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0], [1, 0, 0, 1]]);
    assert_eq!(indices([2, 0, 3, 2]).count(), 0);
}

#[test]
#[should_panic(expected = "index")]
fn an_index_beyond_its_dimension_panics_even_where_the_data_goes_on() {
    let _ = Array4::<f32>::zeros([2, 2, 2, 2])[[0, 0, 0, 2]];
}

#[test]
#[should_panic(expected = "data length")]
fn data_must_fill_the_shape() {
    Array4::new([1, 2, 2, 1], vec![0.0f32; 3]);
}

#[test]
fn zero_pad_by_hand() {
    let x = Array4::new([1, 1, 2, 2], vec![1.0f32, 2., 3., 4.]);
    let y = zero_pad(&x, [[1, 0], [0, 1]]);
    assert_eq!(y, Array4::new([1, 2, 3, 2], vec![0., 0., 0., 0., 0., 0., 1., 2., 3., 4., 0., 0.]));
    assert_eq!(zero_pad(&x, [[0, 0], [0, 0]]), x);
}
