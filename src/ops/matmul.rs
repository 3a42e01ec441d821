//! Matrix products: `matmul`, `linear`, `bmm`, `addmm`, `einsum` and relatives.

use crate::device::layers;
use crate::registry::into_out;
use crate::row::{Row, Scalar, call};
use crate::rows;
use crate::saved::Saved;
use crate::tape::record;
use crate::tensor::{Tensor, needs_grad};
use crate::views::{expand_to, in_shape, permute_array, reshape_to};
use rustnn_autograd::{Backward, Context, Grads};
use rustnn_tensor::shape::broadcast;
use rustnn_tensor::{Array, Error, Result, Shape, bail, ensure};
use smallvec::{SmallVec, smallvec};
use std::sync::Mutex;

fn swapped(a: &Array) -> Array {
    let n = a.rank();
    let mut dims: SmallVec<[usize; 5]> = (0..n).collect();
    dims.swap(n - 2, n - 1);
    permute_array(a, &dims)
}

/// Tensors saved for the backward, released together.
pub(crate) struct SavedSet<const N: usize>(Mutex<Option<[Saved; N]>>);

impl<const N: usize> SavedSet<N> {
    pub fn new(saved: [Saved; N]) -> Self {
        SavedSet(Mutex::new(Some(saved)))
    }

    /// Unpacks those that were saved; an error once they are released.
    pub fn unpack(&self, context: &Context<Tensor>) -> Result<[Option<Tensor>; N]> {
        let guard = self.0.lock().unwrap_or_else(|e| e.into_inner());
        let Some(saved) = guard.as_ref() else {
            return Err(Saved::Nothing.unpack(context).err().unwrap_or(Error::Interrupted));
        };
        let mut out = [const { None }; N];
        for (slot, saved) in out.iter_mut().zip(saved) {
            if !saved.is_nothing() {
                *slot = Some(saved.unpack(context)?);
            }
        }
        Ok(out)
    }

    pub fn release(&self) {
        let saved = self.0.lock().unwrap_or_else(|e| e.into_inner()).take();
        drop(saved);
    }
}

/// Saves an input only where `wanted`.
pub(crate) fn saved_if(wanted: bool, x: &Tensor) -> Result<Saved> {
    if wanted { Saved::input(x) } else { Ok(Saved::Nothing) }
}

fn check_dtypes(a: &Tensor, b: &Tensor) -> Result<()> {
    if a.dtype() != b.dtype() {
        bail!(
            Runtime,
            "expected m1 and m2 to have the same dtype, but got: {} != {}",
            crate::names::type_meta(a.dtype()),
            crate::names::type_meta(b.dtype())
        );
    }
    if a.device() != b.device() {
        bail!(Runtime, "Expected all tensors to be on the same device, but found at least two devices, {} and {}!", a.device(), b.device());
    }
    Ok(())
}

struct ProductBackward {
    name: &'static str,
    saved: SavedSet<2>,
}

impl Backward<Tensor> for ProductBackward {
    fn name(&self) -> String {
        self.name.into()
    }

    fn backward(&self, grads: Grads<Tensor>, context: &Context<Tensor>) -> Result<Grads<Tensor>> {
        let Some(dy) = grads.into_iter().next().flatten() else { return Ok(smallvec![None, None]) };
        let [a, b] = self.saved.unpack(context)?;
        let mut out: Grads<Tensor> = smallvec![None, None];
        if let (Some(b), true) = (b, context.wants(0)) {
            out[0] = Some(product(&dy, &crate::transpose(&crate::complex::conj(&b)?, -2, -1)?, self.name)?);
        }
        if let (Some(a), true) = (a, context.wants(1)) {
            out[1] = Some(product(&crate::transpose(&crate::complex::conj(&a)?, -2, -1)?, &dy, self.name)?);
        }
        Ok(out)
    }

    fn release(&self) {
        self.saved.release();
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// The product of matrices, or of stacks of them with the same leading sizes; shapes are checked.
fn product(a: &Tensor, b: &Tensor, name: &'static str) -> Result<Tensor> {
    let n = a.rank();
    let mut shape = a.shape_owned();
    shape[n - 1] = b.shape()[n - 1];
    let out = Array::empty(&shape, a.dtype(), a.device())?;
    if a.dtype().is_complex() {
        complex_product(a.array(), b.array(), &out)?;
    } else {
        layers::matmul(a.array(), b.array(), None, &out)?;
    }
    if !needs_grad(&[a, b]) {
        return Ok(Tensor::from_array(out));
    }
    let saved = SavedSet::new([saved_if(b.requires_grad(), a)?, saved_if(a.requires_grad(), b)?]);
    Ok(record(out, &[a, b], ProductBackward { name, saved }))
}

/// A product of complex matrices is one of real ones twice as wide and deep: rows of pairs times, for each number of `b`, its own
/// row and the one of i times it. The result lies as it is to lie.
fn complex_product(a: &Array, b: &Array, out: &Array) -> Result<()> {
    use crate::complex::real_array;
    use crate::views::select_array;
    let merged = |x: &Array, at: usize| -> Result<Array> {
        let mut shape: Shape = x.shape().into();
        shape[at] *= shape.remove(at + 1);
        x.view(&shape).ok_or_else(Error::size_overflow)
    };
    let (n, b) = (a.rank(), real_array(b)?);
    let mut shape: Shape = b.shape().into();
    shape.insert(n - 1, 2);
    let twice = Array::empty(&shape, b.dtype(), b.device())?;
    // Rows of pairs, and of pairs turned by a quarter.
    let (plain, turned) = (select_array(&twice, n - 1, 0), select_array(&twice, n - 1, 1));
    let part = |x: &Array, i: usize| select_array(x, n, i);
    crate::copy::copy_array(&b, &plain)?;
    crate::copy::copy_array(&part(&b, 0), &part(&turned, 1))?;
    let negative = call(&rows::NEG, &[(&Tensor::from_array(part(&b, 1))).into()], &[])?;
    crate::copy::copy_array(negative.array(), &part(&turned, 0))?;
    let right = merged(&merged(&twice, n - 2)?, n - 1)?;
    let left = merged(&real_array(&crate::copy::contiguous_array(a)?)?, n - 1)?;
    layers::matmul(&left, &right, None, &merged(&real_array(out)?, n - 1)?)
}

pub fn mm(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    ensure!(a.rank() == 2, Runtime, "self must be a matrix");
    ensure!(b.rank() == 2, Runtime, "mat2 must be a matrix");
    check_inner(a, b)?;
    check_dtypes(a, b)?;
    product(a, b, "MmBackward0")
}

fn check_inner(a: &Tensor, b: &Tensor) -> Result<()> {
    let (x, y) = (a.shape(), b.shape());
    ensure!(x[1] == y[0], Runtime, "mat1 and mat2 shapes cannot be multiplied ({}x{} and {}x{})", x[0], x[1], y[0], y[1]);
    Ok(())
}

pub fn bmm(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    ensure!(a.rank() == 3, Runtime, "batch1 must be a 3D tensor");
    ensure!(b.rank() == 3, Runtime, "batch2 must be a 3D tensor");
    let (x, y) = (a.shape(), b.shape());
    ensure!(
        x[0] == y[0] && x[2] == y[1],
        Runtime,
        "Expected size for first two dimensions of batch2 tensor to be: [{}, {}] but got: [{}, {}].",
        x[0],
        x[2],
        y[0],
        y[1]
    );
    check_dtypes(a, b)?;
    product(a, b, "BmmBackward0")
}

pub fn dot(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    ensure!(a.rank() == 1 && b.rank() == 1, Runtime, "1D tensors expected, but got {}D and {}D tensors", a.rank(), b.rank());
    ensure!(
        a.dtype() == b.dtype(),
        Runtime,
        "dot : expected both vectors to have same dtype, but found {} and {}",
        a.dtype().scalar_name(),
        b.dtype().scalar_name()
    );
    ensure!(
        a.numel() == b.numel(),
        Runtime,
        "inconsistent tensor size, expected tensor [{}] and src [{}] to have the same number of elements, but got {} and {} elements respectively",
        a.numel(),
        b.numel(),
        a.numel(),
        b.numel()
    );
    let n = a.numel();
    let out = product(&reshape_to(a, &[1, n])?, &reshape_to(b, &[n, 1])?, "DotBackward0")?;
    Ok(crate::tape::named(in_shape(&out, &[])?, "DotBackward0"))
}

pub fn mv(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    ensure!(a.rank() == 2 && b.rank() == 1, Runtime, "vector + matrix @ vector expected, got {}, {}, {}", 1, a.rank(), b.rank());
    ensure!(
        a.shape()[1] == b.shape()[0],
        Runtime,
        "size mismatch, got input ({}), mat ({}x{}), vec ({})",
        a.shape()[0],
        a.shape()[0],
        a.shape()[1],
        b.shape()[0]
    );
    check_dtypes(a, b)?;
    let out = product(a, &reshape_to(b, &[b.numel(), 1])?, "MvBackward0")?;
    Ok(crate::tape::named(in_shape(&out, &[a.shape()[0]])?, "MvBackward0"))
}

/// PyTorch's `matmul`: vectors, matrices and broadcast stacks of matrices.
pub fn matmul(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    match (a.rank(), b.rank()) {
        (0, _) | (_, 0) => bail!(Runtime, "both arguments to matmul need to be at least 1D, but they are {}D and {}D", a.rank(), b.rank()),
        (1, 1) => dot(a, b),
        (2, 1) => mv(a, b),
        (1, 2) => {
            let row = reshape_to(a, &[1, a.numel()])?;
            check_inner(&row, b)?;
            check_dtypes(a, b)?;
            in_shape(&product(&row, b, "MmBackward0")?, &[b.shape()[1]])
        }
        (2, 2) => mm(a, b),
        // A stack times one matrix is one tall product.
        (n, 2) if n >= 3 => {
            let k = a.shape()[n - 1];
            let rows: usize = a.shape()[..n - 1].iter().product();
            ensure!(
                k == b.shape()[0],
                Runtime,
                "mat1 and mat2 shapes cannot be multiplied ({rows}x{k} and {}x{})",
                b.shape()[0],
                b.shape()[1]
            );
            check_dtypes(a, b)?;
            let out = product(&reshape_to(a, &[rows, k])?, b, "MmBackward0")?;
            let mut shape: Shape = a.shape()[..n - 1].into();
            shape.push(b.shape()[1]);
            in_shape(&out, &shape)
        }
        (n, m) => {
            let x = if n == 1 { reshape_to(a, &[1, a.numel()])? } else { a.clone() };
            let y = if m == 1 { reshape_to(b, &[b.numel(), 1])? } else { b.clone() };
            let (xs, ys) = (x.shape(), y.shape());
            let (bx, by) = (&xs[..xs.len() - 2], &ys[..ys.len() - 2]);
            if x.device().is_gpu() && n > 1 && m > 1 && bx == by && n <= 5 && xs[n - 1] == ys[m - 2] && x.dtype() == y.dtype() {
                // The GPU's kernel reads stacks as they lie; stacking them anew would be a launch each.
                check_dtypes(&x, &y)?;
                return product(&x, &y, "BmmBackward0");
            }
            let batch = broadcast(bx, by)?;
            let full = |t: &Tensor| -> Result<Tensor> {
                let mut shape = batch.clone();
                shape.extend_from_slice(&t.shape()[t.rank() - 2..]);
                if t.shape() == shape.as_slice() { Ok(t.clone()) } else { expand_to(t, &shape) }
            };
            let flat = |t: &Tensor| reshape_to(t, &[batch.iter().product(), t.shape()[t.rank() - 2], t.shape()[t.rank() - 1]]);
            let out = bmm(&flat(&full(&x)?)?, &flat(&full(&y)?)?)?;
            let mut shape = batch.clone();
            if n > 1 {
                shape.push(out.shape()[1]);
            }
            if m > 1 {
                shape.push(out.shape()[2]);
            }
            in_shape(&out, &shape)
        }
    }
}

struct LinearBackward {
    saved: SavedSet<2>,
    bias: Option<usize>,
}

impl Backward<Tensor> for LinearBackward {
    fn name(&self) -> String {
        (if self.bias.is_some() { "AddmmBackward0" } else { "MmBackward0" }).into()
    }

    fn backward(&self, grads: Grads<Tensor>, context: &Context<Tensor>) -> Result<Grads<Tensor>> {
        let places = context.node.edges.len();
        let Some(dy) = grads.into_iter().next().flatten() else { return Ok(smallvec![None; places]) };
        let [x, w] = self.saved.unpack(context)?;
        let columns = dy.shape()[dy.rank() - 1];
        let rows = dy.shape()[..dy.rank() - 1].iter().product();
        let mut out: Grads<Tensor> = smallvec![None; places];
        if context.create_graph {
            let flat = reshape_to(&dy, &[rows, columns])?;
            if let (Some(w), true) = (&w, context.wants(0)) {
                let mut shape = dy.shape_owned();
                *shape.last_mut().unwrap_or(&mut 0) = w.shape()[1];
                out[0] = Some(reshape_to(&mm(&flat, w)?, &shape)?);
            }
            if let (Some(x), true) = (&x, context.wants(1)) {
                let x = reshape_to(x, &[rows, x.shape()[x.rank() - 1]])?;
                out[1] = Some(mm(&crate::transpose(&flat, 0, 1)?, &x)?);
            }
            if self.bias.is_some() && context.wants(2) {
                out[2] = Some(crate::reduce::sum(&flat, Some(&[0]), false, None)?);
            }
            return Ok(out);
        }
        let flat = matrix(dy.array(), rows, columns)?;
        if let (Some(w), true) = (&w, context.wants(0)) {
            let mut shape = dy.shape_owned();
            *shape.last_mut().unwrap_or(&mut 0) = w.shape()[1];
            let dx = Array::empty(&shape, dy.dtype(), dy.device())?;
            layers::matmul(&flat, w.array(), None, &matrix(&dx, rows, w.shape()[1])?)?;
            out[0] = Some(Tensor::from_array(dx));
        }
        if let (Some(x), true) = (&x, context.wants(1)) {
            let k = x.shape()[x.rank() - 1];
            let dw = Array::empty(&[columns, k], dy.dtype(), dy.device())?;
            layers::matmul(&swapped(&flat), &matrix(x.array(), rows, k)?, None, &dw)?;
            out[1] = Some(Tensor::from_array(dw));
        }
        if self.bias.is_some() && context.wants(2) {
            let db = Array::empty(&[columns], dy.dtype(), dy.device())?;
            crate::device::arrays::reduce(crate::device::arrays::Fold::Sum, &flat, &[0], crate::device::arrays::Finish::Plain, &db)?;
            out[2] = Some(Tensor::from_array(db));
        }
        Ok(out)
    }

    fn release(&self) {
        self.saved.release();
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// All but the last dimension as rows, copying only where strides do not allow a view.
fn matrix(a: &Array, rows: usize, columns: usize) -> Result<Array> {
    match a.view(&[rows, columns]) {
        Some(view) => Ok(view),
        None => {
            let dense = crate::copy::contiguous_array(a)?;
            dense.view(&[rows, columns]).ok_or_else(Error::size_overflow)
        }
    }
}

/// `y = x Wᵀ + b` over the last dimension of `x`.
pub fn linear(x: &Tensor, w: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    linear_with(x, w, bias, None)
}

/// A formula that a linear map can end with.
fn activation(name: &str) -> Result<&'static Row> {
    Ok(match name {
        "relu" => &rows::RELU,
        "gelu" => &rows::GELU,
        _ => bail!(Value, "linear_activation: activation is 'relu' or 'gelu', got '{name}'"),
    })
}

/// `y = activation(x Wᵀ + b)`, the activation applied as the product is stored; on the tape the two ops that it stands for.
pub fn linear_activation(x: &Tensor, w: &Tensor, bias: Option<&Tensor>, name: &str) -> Result<Tensor> {
    linear_with(x, w, bias, Some(activation(name)?))
}

fn linear_with(x: &Tensor, w: &Tensor, bias: Option<&Tensor>, activation: Option<&'static Row>) -> Result<Tensor> {
    let finished = |out: Tensor| match activation {
        Some(row) => call(row, &[(&out).into()], &[]),
        None => Ok(out),
    };
    ensure!(w.rank() == 2 || w.rank() == 1, Runtime, "linear(): weight must be 1-D or 2-D, got {}-D", w.rank());
    if activation.is_some() && !x.dtype().is_float() {
        return finished(linear(x, w, bias)?);
    }
    if w.rank() == 1 || x.rank() == 0 || w.dtype().is_complex() {
        // PyTorch's rare form: a vector as weight gives a number per row.
        let out = matmul(x, &if w.rank() == 2 { crate::transpose(w, 0, 1)? } else { w.clone() })?;
        return finished(match bias {
            Some(b) => crate::add(&out, b)?,
            None => out,
        });
    }
    let n = x.rank();
    let (k, columns) = (x.shape()[n - 1], w.shape()[0]);
    let rows: usize = x.shape()[..n - 1].iter().product();
    if k != w.shape()[1] {
        bail!(Runtime, "mat1 and mat2 shapes cannot be multiplied ({rows}x{k} and {}x{})", w.shape()[1], w.shape()[0]);
    }
    if x.dtype() != w.dtype() {
        bail!(Runtime, "mat1 and mat2 must have the same dtype, but got {} and {}", x.dtype().scalar_name(), w.dtype().scalar_name());
    }
    check_dtypes(x, w)?;
    let mut shape: Shape = x.shape()[..n - 1].into();
    shape.push(columns);
    let out = Array::empty(&shape, x.dtype(), x.device())?;
    let plus = match bias {
        None => None,
        Some(b) => {
            if b.dtype() != x.dtype() {
                bail!(
                    Runtime,
                    "self and mat2 must have the same dtype, but got {} and {}",
                    b.dtype().scalar_name(),
                    x.dtype().scalar_name()
                );
            }
            ensure!(
                b.rank() <= 1 && (b.numel() == columns || b.numel() == 1),
                Runtime,
                "The expanded size of the tensor ({columns}) must match the existing size ({}) at non-singleton dimension 1.  Target sizes: {:?}.  Tensor sizes: {:?}",
                b.numel(),
                [rows, columns],
                b.shape()
            );
            let strides = b.array().strides_as(&[rows, columns]);
            Some(b.array().with_geometry(smallvec![rows, columns], strides, b.array().offset()))
        }
    };
    let mut inputs: SmallVec<[&Tensor; 3]> = smallvec![x, w];
    inputs.extend(bias);
    let recording = needs_grad(&inputs);
    // What the activation's gradient needs of its input is kept beside the result.
    let before = match activation {
        Some(row) if recording && crate::row::uses_input(row) => Some(Array::empty(&shape, x.dtype(), x.device())?),
        _ => None,
    };
    let (left, right, result) = (matrix(x.array(), rows, k)?, swapped(w.array()), matrix(&out, rows, columns)?);
    match activation {
        None => layers::matmul(&left, &right, plus.as_ref(), &result)?,
        Some(row) => {
            let formula = layers::Activation { kernel: &row.kernel, relu: std::ptr::eq(row, &rows::RELU) };
            let kept = before.as_ref().map(|z| matrix(z, rows, columns)).transpose()?;
            layers::matmul_activated(&left, &right, plus.as_ref(), formula, kept.as_ref(), &result)?
        }
    }
    if !recording {
        return Ok(Tensor::from_array(out));
    }
    if let Some(b) = bias
        && b.shape() != [columns]
    {
        // A bias of one number: rare, and its gradient has its own shape.
        return finished(crate::add(&linear(x, w, None)?, b)?);
    }
    let saved = SavedSet::new([saved_if(w.requires_grad(), x)?, saved_if(x.requires_grad(), w)?]);
    let node = LinearBackward { saved, bias: bias.map(|b| b.numel()) };
    match activation {
        None => Ok(record(out, &inputs, node)),
        // Nobody reads the value between where it is not kept: its place on the tape is all that there is of it.
        Some(row) => crate::row::recorded(row, &record(before.unwrap_or_else(|| out.clone()), &inputs, node), out),
    }
}

/// `beta · input + alpha · product`.
fn add_product(input: &Tensor, product: Tensor, beta: Scalar, alpha: Scalar) -> Result<Tensor> {
    let scaled = |t: &Tensor, s: Scalar| if s.to_f64() == 1.0 { Ok(t.clone()) } else { call(&rows::MUL, &[t.into(), s.into()], &[]) };
    let product = scaled(&product, alpha)?;
    if beta.to_f64() == 0.0 {
        // NaN in what is not read must not show.
        return Ok(product);
    }
    let input = expand_to_fit(input, product.shape())?;
    crate::add(&scaled(&input, beta)?, &product)
}

fn expand_to_fit(t: &Tensor, shape: &[usize]) -> Result<Tensor> {
    if t.shape() == shape {
        return Ok(t.clone());
    }
    let sizes: SmallVec<[i64; 5]> = shape.iter().map(|&n| n as i64).collect();
    crate::views::expand(t, &sizes)
}

/// Einstein's sum over the labels that the output lacks.
pub fn einsum(equation: &str, operands: &[Tensor]) -> Result<Tensor> {
    ensure!(!operands.is_empty(), Runtime, "einsum(): must provide at least one operand");
    let text: String = equation.chars().filter(|c| !c.is_whitespace()).collect();
    let (left, right) = match text.split_once("->") {
        Some((l, r)) => (l.to_string(), Some(r.to_string())),
        None => (text.clone(), None),
    };
    let terms: Vec<&str> = left.split(',').collect();
    ensure!(
        terms.len() == operands.len(),
        Runtime,
        "einsum(): {} operands were provided, but the equation has {} terms",
        operands.len(),
        terms.len()
    );
    // Ellipsis dimensions get labels that no letter has: numbers from 1000 on, aligned at the right.
    let letters = |term: &str, rank: usize| -> Result<Vec<u32>> {
        let plain = term.replace("...", "").chars().count();
        let extra = rank.checked_sub(plain);
        let mut out = Vec::new();
        let mut rest = term;
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix("...") {
                let Some(extra) = extra else {
                    bail!(
                        Runtime,
                        "einsum(): the number of subscripts in the equation ({plain}) is more than the number of dimensions ({rank}) for an operand"
                    )
                };
                out.extend((0..extra).map(|i| 1000 + (extra - 1 - i) as u32));
                rest = after;
                continue;
            }
            let c = rest.chars().next().unwrap_or(' ');
            ensure!(
                c.is_ascii_alphabetic(),
                Runtime,
                "einsum(): invalid subscript given at index {} in the equation string, subscripts must be in [a-zA-Z]",
                term.len() - rest.len()
            );
            out.push(c as u32);
            rest = &rest[c.len_utf8()..];
        }
        ensure!(
            out.len() == rank,
            Runtime,
            "einsum(): the number of subscripts in the equation ({}) {} the number of dimensions ({rank}) for operand {}",
            out.len(),
            if out.len() < rank { "does not match" } else { "is more than" },
            0
        );
        Ok(out)
    };
    let mut labelled: Vec<(Tensor, Vec<u32>)> = Vec::new();
    for (term, t) in terms.iter().zip(operands) {
        let labels = letters(term, t.rank())?;
        labelled.push(diagonals(t.clone(), labels)?);
    }
    let mut sizes: std::collections::BTreeMap<u32, usize> = Default::default();
    for (t, labels) in &labelled {
        for (&l, &n) in labels.iter().zip(t.shape()) {
            let known = sizes.entry(l).or_insert(n);
            if *known == 1 {
                *known = n;
            }
            ensure!(
                n == *known || n == 1,
                Runtime,
                "einsum(): subscript {} has size {n} for operand 1 which does not broadcast with previously seen size {known}",
                char::from_u32(l).unwrap_or('.')
            );
        }
    }
    let output: Vec<u32> = match right {
        Some(r) => {
            let dots = sizes.keys().filter(|&&l| l >= 1000).count();
            let plain = r.replace("...", "").chars().count();
            let out = letters(&r, plain + if r.contains("...") { dots } else { 0 })?;
            for &l in &out {
                ensure!(
                    sizes.contains_key(&l),
                    Runtime,
                    "einsum(): output subscript {} does not appear in the equation for any input operand",
                    char::from_u32(l).unwrap_or('.')
                );
            }
            out
        }
        None => {
            let count = |l: u32| labelled.iter().filter(|(_, ls)| ls.contains(&l)).count();
            let text_count = |l: u32| char::from_u32(l).map_or(0, |c| left.matches(c).count());
            let mut dots: Vec<u32> = sizes.keys().copied().filter(|&l| l >= 1000).collect();
            dots.sort_unstable_by(|a, b| b.cmp(a));
            dots.extend(sizes.keys().copied().filter(|&l| l < 1000 && count(l) == 1 && text_count(l) == 1));
            dots
        }
    };
    let mut operands = labelled.into_iter();
    let Some((mut t, mut labels)) = operands.next() else { bail!(Runtime, "einsum(): no operand") };
    let rest: Vec<(Tensor, Vec<u32>)> = operands.collect();
    for (i, (other, other_labels)) in rest.iter().enumerate() {
        let later = |l: &u32| output.contains(l) || rest[i + 1..].iter().any(|(_, ls)| ls.contains(l));
        (t, labels) = contract(&t, &labels, other, other_labels, &later)?;
    }
    // What is left over is summed, and the rest put in order.
    let gone: SmallVec<[i64; 5]> = labels.iter().enumerate().filter(|(_, l)| !output.contains(l)).map(|(d, _)| d as i64).collect();
    if !gone.is_empty() {
        t = crate::reduce::sum(&t, Some(&gone), false, Some(t.dtype()))?;
        labels.retain(|l| output.contains(l));
    }
    let order: SmallVec<[i64; 5]> = output.iter().filter_map(|l| labels.iter().position(|x| x == l)).map(|d| d as i64).collect();
    ensure!(order.len() == output.len(), Runtime, "einsum(): output subscripts must be distinct");
    crate::permute(&t, &order)
}

/// Repeated labels of one operand become its diagonal.
fn diagonals(mut t: Tensor, mut labels: Vec<u32>) -> Result<(Tensor, Vec<u32>)> {
    'again: loop {
        for i in 0..labels.len() {
            for j in i + 1..labels.len() {
                if labels[i] == labels[j] {
                    let label = labels[i];
                    ensure!(
                        t.shape()[i] == t.shape()[j],
                        Runtime,
                        "einsum(): subscript {} is repeated for operand 0 but the sizes don't match, {} != {}",
                        char::from_u32(label).unwrap_or('.'),
                        t.shape()[j],
                        t.shape()[i]
                    );
                    t = crate::views::diagonal(&t, 0, i as i64, j as i64)?;
                    labels.remove(j);
                    labels.remove(i);
                    labels.push(label);
                    continue 'again;
                }
            }
        }
        return Ok((t, labels));
    }
}

/// One product of two labelled operands: labels in both and kept are batch, in both and not kept are summed.
fn contract(a: &Tensor, la: &[u32], b: &Tensor, lb: &[u32], kept: &dyn Fn(&u32) -> bool) -> Result<(Tensor, Vec<u32>)> {
    let size = |l: &u32| -> usize {
        let of = |t: &Tensor, ls: &[u32]| ls.iter().position(|x| x == l).map(|d| t.shape()[d]);
        of(a, la).unwrap_or(1).max(of(b, lb).unwrap_or(1)) * usize::from(of(a, la) != Some(0) && of(b, lb) != Some(0))
    };
    let batch: Vec<u32> = la.iter().copied().filter(|l| lb.contains(l) && kept(l)).collect();
    let summed: Vec<u32> = la.iter().copied().filter(|l| lb.contains(l) && !kept(l)).collect();
    let only_a: Vec<u32> = la.iter().copied().filter(|l| !lb.contains(l)).collect();
    let only_b: Vec<u32> = lb.iter().copied().filter(|l| !la.contains(l)).collect();
    let arrange = |t: &Tensor, labels: &[u32], order: &[&[u32]], shape: [usize; 3]| -> Result<Tensor> {
        let wanted: Vec<u32> = order.concat();
        let dims: SmallVec<[i64; 5]> = wanted.iter().filter_map(|l| labels.iter().position(|x| x == l)).map(|d| d as i64).collect();
        let t = crate::permute(t, &dims)?;
        let full: Shape = wanted.iter().map(&size).collect();
        reshape_to(&if t.shape() == full.as_slice() { t } else { expand_to(&t, &full)? }, &shape)
    };
    let count = |labels: &[u32]| labels.iter().map(&size).product::<usize>();
    let (nb, ns, na, nc) = (count(&batch), count(&summed), count(&only_a), count(&only_b));
    let x = arrange(a, la, &[&batch, &only_a, &summed], [nb, na, ns])?;
    let y = arrange(b, lb, &[&batch, &summed, &only_b], [nb, ns, nc])?;
    let out = bmm(&x, &y)?;
    let labels: Vec<u32> = [batch, only_a, only_b].concat();
    let shape: Shape = labels.iter().map(size).collect();
    Ok((reshape_to(&out, &shape)?, labels))
}

crate::ops! {
    "matmul(Tensor self, Tensor other, *, Tensor? out=None)" Both "Product of vectors, matrices or stacks of matrices." =>
        |a| into_out("matmul", &[a.tensor(0)?, a.tensor(1)?], || matmul(a.tensor(0)?, a.tensor(1)?), a.opt_tensor(2)?)?;
    "mm(Tensor self, Tensor mat2, *, Tensor? out=None)" Both "Product of two matrices." =>
        |a| into_out("mm", &[a.tensor(0)?, a.tensor(1)?], || mm(a.tensor(0)?, a.tensor(1)?), a.opt_tensor(2)?)?;
    "bmm(Tensor self, Tensor mat2, *, Tensor? out=None)" Both "Products of two stacks of matrices." =>
        |a| into_out("bmm", &[a.tensor(0)?, a.tensor(1)?], || bmm(a.tensor(0)?, a.tensor(1)?), a.opt_tensor(2)?)?;
    "mv(Tensor self, Tensor vec, *, Tensor? out=None)" Both "Product of a matrix and a vector." =>
        |a| into_out("mv", &[a.tensor(0)?, a.tensor(1)?], || mv(a.tensor(0)?, a.tensor(1)?), a.opt_tensor(2)?)?;
    "dot(Tensor self, Tensor tensor, *, Tensor? out=None)" Both "Inner product of two vectors." =>
        |a| into_out("dot", &[a.tensor(0)?, a.tensor(1)?], || dot(a.tensor(0)?, a.tensor(1)?), a.opt_tensor(2)?)?;
    "inner(Tensor self, Tensor other)" Both "Sums of products over the last dimensions." => |a| {
        let (x, y) = (a.tensor(0)?, a.tensor(1)?);
        if x.rank() == 0 || y.rank() == 0 { crate::mul(x, y)? } else {
            let (k, m) = (x.shape()[x.rank() - 1], y.shape()[y.rank() - 1]);
            ensure!(k == m, Runtime, "inner() the last dimension must match on both input tensors but got shapes {:?} and {:?}", x.shape(), y.shape());
            let flat = |t: &Tensor| reshape_to(t, &[t.shape()[..t.rank() - 1].iter().product(), k]);
            let out = mm(&flat(x)?, &crate::transpose(&flat(y)?, 0, 1)?)?;
            let mut shape: Shape = x.shape()[..x.rank() - 1].into();
            shape.extend_from_slice(&y.shape()[..y.rank() - 1]);
            in_shape(&out, &shape)?
        }
    };
    "outer(Tensor self, Tensor vec2, *, Tensor? out=None)" Both "Products of all pairs of two vectors' elements." => |a| {
        let (x, y) = (a.tensor(0)?, a.tensor(1)?);
        ensure!(x.rank() == 1, Runtime, "outer: Expected 1-D argument self, but got {}-D", x.rank());
        ensure!(y.rank() == 1, Runtime, "outer: Expected 1-D argument vec2, but got {}-D", y.rank());
        into_out("outer", &[x, y], || crate::mul(&crate::unsqueeze(x, 1)?, y), a.opt_tensor(2)?)?
    };
    "addmm(Tensor self, Tensor mat1, Tensor mat2, *, Scalar beta=1, Scalar alpha=1, Tensor? out=None)" Both "`beta * self + alpha * mat1 @ mat2`." =>
        |a| into_out("addmm", &[a.tensor(0)?, a.tensor(1)?, a.tensor(2)?], || add_product(a.tensor(0)?, mm(a.tensor(1)?, a.tensor(2)?)?, a.scalar(3)?, a.scalar(4)?), a.opt_tensor(5)?)?;
    "baddbmm(Tensor self, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1, Tensor? out=None)" Both "`beta * self + alpha * batch1 @ batch2`." =>
        |a| into_out("baddbmm", &[a.tensor(0)?, a.tensor(1)?, a.tensor(2)?], || add_product(a.tensor(0)?, bmm(a.tensor(1)?, a.tensor(2)?)?, a.scalar(3)?, a.scalar(4)?), a.opt_tensor(5)?)?;
    "addmv(Tensor self, Tensor mat, Tensor vec, *, Scalar beta=1, Scalar alpha=1, Tensor? out=None)" Both "`beta * self + alpha * mat @ vec`." =>
        |a| into_out("addmv", &[a.tensor(0)?, a.tensor(1)?, a.tensor(2)?], || add_product(a.tensor(0)?, mv(a.tensor(1)?, a.tensor(2)?)?, a.scalar(3)?, a.scalar(4)?), a.opt_tensor(5)?)?;
    "linear(Tensor self, Tensor weight, Tensor? bias=None)" Function "`y = x Wᵀ + b` over the last dimension." =>
        |a| linear(a.tensor(0)?, a.tensor(1)?, a.opt_tensor(2)?)?;
    "_linear_activation(Tensor input, Tensor weight, Tensor? bias, str activation)" Function "A linear map and an activation in one step." =>
        |a| linear_activation(a.tensor(0)?, a.tensor(1)?, a.opt_tensor(2)?, a.str(3)?)?;
    "_einsum(str equation, Tensor[] operands)" Function "Einstein's sum." => |a| einsum(a.str(0)?, a.tensors(1)?)?;
}
