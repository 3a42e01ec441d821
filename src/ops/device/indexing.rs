//! Doors to the kernels of `rustnn_kernels::indexing`.

use super::{Host, Place, buffer, door, place};
use rustnn_kernels::indexing as cpu;
use rustnn_tensor::shape::broadcast_strides;
use rustnn_tensor::{Array, DType, Device, Result, Shape};
use smallvec::SmallVec;

pub use rustnn_kernels::indexing::{Distinct, Half, Reduce, Scan};

/// Indices into a dimension, known to lie inside: a copy that nobody else sees. On a GPU nobody waits to hear of one that lay
/// outside: it was moved inside, and the next read of device memory raises.
#[derive(Debug)]
pub struct Indices(Inner);

#[derive(Debug)]
enum Inner {
    Host(cpu::Indices),
    /// int64, none negative; repeated along strides of 0.
    Gpu {
        array: Array,
        size: usize,
    },
}

impl Indices {
    /// Copies integers of any type, to index `of`, beside which they lie; `negative` ones count from the end if allowed. The inner
    /// error is the first one outside.
    pub fn new(index: &Array, of: &Array, size: usize, negative: bool) -> Result<std::result::Result<Indices, i64>> {
        place(&[Some(of), Some(index)])?;
        Indices::from_anywhere(index, of, size, negative)
    }

    /// The same of indices that may also lie on the CPU.
    pub fn from_anywhere(index: &Array, of: &Array, size: usize, negative: bool) -> Result<std::result::Result<Indices, i64>> {
        // Where there are none, memory must not be asked for any.
        if index.is_meta() && !of.is_meta() {
            rustnn_tensor::bail!(
                Runtime,
                "indices should be either on cpu or on the same device as the indexed tensor ({}), but are on meta",
                of.device()
            );
        }
        if place(&[Some(index)])? == Place::Host {
            return Ok(cpu::Indices::new(index, size, negative)?.map(|i| Indices(Inner::Host(i))));
        }
        if size == 0 && index.numel() > 0 {
            return Ok(Err(0));
        }
        let compact: Shape = index.shape().iter().zip(index.strides()).map(|(&n, &s)| if s == 0 && n > 1 { 1 } else { n }).collect();
        let once = index.with_geometry(compact.clone(), index.strides().into(), index.offset());
        let array = Array::empty(&compact, DType::I64, index.device())?;
        super::arrays::copy(&once, &array)?;
        #[cfg(feature = "gpu")]
        rustnn_gpu::move_inside(&array, size, negative)?;
        Ok(Ok(Indices(Inner::Gpu { array: spread(&array, index.shape()), size })))
    }

    pub fn shape(&self) -> &[usize] {
        match &self.0 {
            Inner::Host(i) => i.shape(),
            Inner::Gpu { array, .. } => array.shape(),
        }
    }

    pub fn numel(&self) -> usize {
        self.shape().iter().product()
    }

    /// The indices broadcast to a shape they fit.
    pub fn expand(&self, shape: &[usize]) -> Indices {
        Indices(match &self.0 {
            Inner::Host(i) => Inner::Host(i.expand(shape)),
            Inner::Gpu { array, size } => Inner::Gpu { array: spread(array, shape), size: *size },
        })
    }

    /// The same on the CPU: waits for a GPU.
    fn on_host(&self) -> Result<std::borrow::Cow<'_, cpu::Indices>> {
        match &self.0 {
            Inner::Host(i) => Ok(std::borrow::Cow::Borrowed(i)),
            Inner::Gpu { array, size } => match cpu::Indices::new(&super::download(array)?, *size, false)? {
                Ok(i) => Ok(std::borrow::Cow::Owned(i)),
                Err(i) => rustnn_tensor::bail!(Index, "index {i} is out of bounds for dimension with size {size}"),
            },
        }
    }

    /// As an int64 array on a GPU, none negative.
    #[cfg(feature = "gpu")]
    fn on_device(&self, device: Device) -> Result<Array> {
        match &self.0 {
            Inner::Gpu { array, .. } => Ok(array.clone()),
            Inner::Host(i) => {
                let from = i.inside()?;
                let to = Array::empty(from.shape(), DType::I64, device)?;
                super::upload(&from, &to)?;
                Ok(spread(&to, i.shape()))
            }
        }
    }
}

fn spread(array: &Array, shape: &[usize]) -> Array {
    let strides = broadcast_strides(array.shape(), array.strides(), shape);
    array.with_geometry(shape.into(), strides, array.offset())
}

/// Whether a kernel over arrays and indices runs on a GPU. Indices on the CPU go to any device.
fn on_gpu(arrays: &[&Array], indices: &[&Indices]) -> Result<bool> {
    let mut all: SmallVec<[Option<&Array>; 8]> = arrays.iter().map(|a| Some(*a)).collect();
    for index in indices {
        if let Inner::Gpu { array, .. } = &index.0 {
            all.push(Some(array));
        }
    }
    Ok(place(&all)? == Place::Gpu)
}

/// Runs a kernel that a GPU lacks on copies.
fn on_copies<const R: usize, const W: usize, T>(
    name: &str,
    read: [&Array; R],
    written: [&Array; W],
    indices: &[&Indices],
    run: impl FnOnce([&Array; R], [&Array; W], &[&cpu::Indices]) -> Result<T>,
) -> Result<T> {
    let mut host = Host::new(name, read.iter().chain(&written).next().map(|a| a.dtype()));
    let r: Vec<Array> = read.iter().map(|a| host.stage(a)).collect::<Result<_>>()?;
    let w: Vec<Array> = written.iter().map(|a| host.stage_written(a)).collect::<Result<_>>()?;
    let i: Vec<std::borrow::Cow<cpu::Indices>> = indices.iter().map(|i| i.on_host()).collect::<Result<_>>()?;
    let i: Vec<&cpu::Indices> = i.iter().map(|i| &**i).collect();
    let out = run(std::array::from_fn(|k| &r[k]), std::array::from_fn(|k| &w[k]), &i)?;
    host.finish()?;
    Ok(out)
}

/// The indices of a call on the CPU.
fn on_cpu<'a>(index: &'a Indices) -> Result<std::borrow::Cow<'a, cpu::Indices>> {
    index.on_host()
}

/// `out[.., k, ..] = x[.., index[k], ..]`; `x` and `out` contiguous.
pub fn index_select(x: &Array, dim: usize, index: &Indices, out: &Array) -> Result<()> {
    if !on_gpu(&[x, out], &[index])? {
        return cpu::index_select(x, dim, &*on_cpu(index)?, out);
    }
    #[cfg(feature = "gpu")]
    if rustnn_gpu::index_select(x, dim, &index.on_device(x.device())?, out)? {
        return Ok(());
    }
    on_copies("index_select", [x], [out], &[index], |[x], [out], i| cpu::index_select(x, dim, i[0], out))
}

/// `out[i] = x[i with i[dim] = index[i]]`.
pub fn gather(x: &Array, dim: usize, index: &Indices, out: &Array) -> Result<()> {
    if !on_gpu(&[x, out], &[index])? {
        return cpu::gather(x, dim, &*on_cpu(index)?, out);
    }
    #[cfg(feature = "gpu")]
    if rustnn_gpu::gather(x, dim, &index.on_device(x.device())?, out)? {
        return Ok(());
    }
    on_copies("gather", [x], [out], &[index], |[x], [out], i| cpu::gather(x, dim, i[0], out))
}

/// Sums and products of bools are "or" and "and": the greater and the lesser of their bytes.
#[cfg(feature = "gpu")]
fn truth_as_bytes(reduce: Reduce, target: &Array, values: &Array) -> Result<(Reduce, Array, Array)> {
    if target.dtype() != DType::Bool || values.dtype() != DType::Bool {
        return Ok((reduce, target.clone(), values.clone()));
    }
    let reduce = match reduce {
        Reduce::Add => Reduce::Maximum,
        Reduce::Multiply => Reduce::Minimum,
        other => other,
    };
    Ok((reduce, target.reinterpret(DType::U8)?, values.reinterpret(DType::U8)?))
}

/// `target[i with i[dim] = index[i]] (=, +=, …) values[i]`; `values` reaches at least the index's shape.
pub fn scatter(reduce: Reduce, target: &Array, dim: usize, index: &Indices, values: &Array) -> Result<()> {
    if !on_gpu(&[target, values], &[index])? {
        return cpu::scatter(reduce, target, dim, &*on_cpu(index)?, values);
    }
    #[cfg(feature = "gpu")]
    {
        let (reduce, bits, values) = truth_as_bytes(reduce, target, values)?;
        if rustnn_gpu::scatter(reduce, &bits, dim, &index.on_device(target.device())?, &values)? {
            return Ok(());
        }
    }
    on_copies("scatter", [values], [target], &[index], |[values], [target], i| cpu::scatter(reduce, target, dim, i[0], values))
}

/// `target[.., index[k], ..] (=, += alpha *, …) values[.., k, ..]`; both contiguous, `alpha` one element of their dtype, on the CPU.
pub fn index_update(reduce: Reduce, alpha: Option<&Array>, target: &Array, dim: usize, index: &Indices, values: &Array) -> Result<()> {
    if !on_gpu(&[target, values], &[index])? {
        return cpu::index_update(reduce, alpha, target, dim, &*on_cpu(index)?, values);
    }
    #[cfg(feature = "gpu")]
    {
        let (reduce, bits, values) = truth_as_bytes(reduce, target, values)?;
        let alpha = match alpha {
            Some(alpha) if target.dtype() == DType::Bool => match rustnn_kernels::arrays::first(alpha)?.to_bool() {
                true => None,
                false => return Ok(()),
            },
            other => other,
        };
        if rustnn_gpu::index_update(reduce, alpha, &bits, dim, &index.on_device(target.device())?, &values)? {
            return Ok(());
        }
    }
    on_copies("index_update", [values], [target], &[index], |[values], [target], i| {
        cpu::index_update(reduce, alpha, target, dim, i[0], values)
    })
}

/// `out = x[indices]`: dimension `dims[m]` of `x` is indexed by `indices[m]`, all of one shape, which begins at dimension
/// `at` of `out`; the other dimensions follow in their order.
pub fn index_get(x: &Array, dims: &[usize], indices: &[Indices], at: usize, out: &Array) -> Result<()> {
    let all: SmallVec<[&Indices; 4]> = indices.iter().collect();
    if !on_gpu(&[x, out], &all)? {
        return cpu::index_get(x, dims, &hosted(indices)?, at, out);
    }
    #[cfg(feature = "gpu")]
    {
        let places: SmallVec<[Array; 4]> = indices.iter().map(|i| i.on_device(x.device())).collect::<Result<_>>()?;
        if rustnn_gpu::index_get(x, dims, &places, at, out)? {
            return Ok(());
        }
    }
    on_copies("index", [x], [out], &[], |[x], [out], _| cpu::index_get(x, dims, &hosted(indices)?, at, out))
}

/// `target[indices] (=, +=, …) values`, as [`index_get`]; `values` may repeat by strides of 0.
pub fn index_put(reduce: Reduce, target: &Array, dims: &[usize], indices: &[Indices], at: usize, values: &Array) -> Result<()> {
    let all: SmallVec<[&Indices; 4]> = indices.iter().collect();
    if !on_gpu(&[target, values], &all)? {
        return cpu::index_put(reduce, target, dims, &hosted(indices)?, at, values);
    }
    #[cfg(feature = "gpu")]
    {
        let places: SmallVec<[Array; 4]> = indices.iter().map(|i| i.on_device(target.device())).collect::<Result<_>>()?;
        let (reduce, bits, values_as) = truth_as_bytes(reduce, target, values)?;
        if rustnn_gpu::index_put(reduce, &bits, dims, &places, at, &values_as)? {
            return Ok(());
        }
    }
    on_copies("index_put", [values], [target], &[], |[values], [target], _| {
        cpu::index_put(reduce, target, dims, &hosted(indices)?, at, values)
    })
}

fn hosted(indices: &[Indices]) -> Result<SmallVec<[cpu::Indices; 4]>> {
    indices.iter().map(|i| i.on_host().map(std::borrow::Cow::into_owned)).collect()
}

/// `out[k, c] = (c == index[k])`, contiguous int64.
pub fn one_hot(index: &Indices, out: &Array) -> Result<()> {
    if !on_gpu(&[out], &[index])? {
        return cpu::one_hot(&*on_cpu(index)?, out);
    }
    #[cfg(feature = "gpu")]
    {
        let classes = out.shape().last().copied().unwrap_or(0);
        if rustnn_gpu::one_hot(&index.on_device(out.device())?, classes, out)? {
            return Ok(());
        }
    }
    on_copies("one_hot", [], [out], &[index], |[], [out], i| cpu::one_hot(i[0], out))
}

/// The gradient of an embedding's weight; `dy` contiguous, one row per index, `dweight` contiguous.
pub fn embedding_backward(dy: &Array, index: &Indices, padding: Option<i64>, by_frequency: bool, dweight: &Array) -> Result<()> {
    if !on_gpu(&[dy, dweight], &[index])? {
        return cpu::embedding_backward(dy, &*on_cpu(index)?, padding, by_frequency, dweight);
    }
    #[cfg(feature = "gpu")]
    if rustnn_gpu::embedding_backward(dy, &index.on_device(dy.device())?, padding, by_frequency, dweight)? {
        return Ok(());
    }
    on_copies("embedding_backward", [dy], [dweight], &[index], |[dy], [dweight], i| {
        cpu::embedding_backward(dy, i[0], padding, by_frequency, dweight)
    })
}

/// Where `values` would enter `sequence`; see the CPU's.
pub fn searchsorted(right: bool, sequence: &Array, sorter: Option<&Indices>, values: &Array, out: &Array) -> Result<()> {
    let indices: SmallVec<[&Indices; 1]> = sorter.into_iter().collect();
    if !on_gpu(&[sequence, values, out], &indices)? {
        let sorter = sorter.map(on_cpu).transpose()?;
        return cpu::searchsorted(right, sequence, sorter.as_deref(), values, out);
    }
    #[cfg(feature = "gpu")]
    {
        let sorter = sorter.map(|s| s.on_device(sequence.device())).transpose()?;
        if rustnn_gpu::searchsorted(right, sequence, sorter.as_ref(), values, out)? {
            return Ok(());
        }
    }
    on_copies("searchsorted", [sequence, values], [out], &indices, |[sequence, values], [out], i| {
        cpu::searchsorted(right, sequence, i.first().copied(), values, out)
    })
}

/// The numbers of an integer array of any kind and layout: waits for a GPU.
pub fn integers(x: &Array) -> Result<Vec<i64>> {
    if place(&[Some(x)])? == Place::Host { cpu::integers(x) } else { cpu::integers(&super::download(x)?) }
}

/// A mask: a copy that nobody else sees, and where its true elements lie. How many there are decides shapes, so that a mask on
/// a GPU is counted there and their number read: it waits.
#[derive(Debug)]
pub struct Mask(Truth);

#[derive(Debug)]
enum Truth {
    Host(cpu::Mask),
    /// Where the true elements lie, counted through: int64 on a GPU.
    #[cfg(feature = "gpu")]
    Gpu {
        places: Array,
        shape: Shape,
    },
}

impl Mask {
    /// The elements of `x` that are not zero.
    pub fn new(x: &Array) -> Result<Mask> {
        if place(&[Some(x)])? == Place::Host {
            return cpu::Mask::new(x).map(|mask| Mask(Truth::Host(mask)));
        }
        #[cfg(feature = "gpu")]
        if let Some(places) = Mask::found(x)? {
            return Ok(Mask(Truth::Gpu { places, shape: x.shape().into() }));
        }
        let mut host = Host::new("nonzero", Some(x.dtype()));
        let mask = cpu::Mask::new(&host.stage(x)?)?;
        host.finish()?;
        Ok(Mask(Truth::Host(mask)))
    }

    /// The places of the true elements of an array on a GPU.
    #[cfg(feature = "gpu")]
    fn found(x: &Array) -> Result<Option<Array>> {
        let n = x.numel();
        if n == 0 {
            return Array::empty(&[0], DType::I64, x.device()).map(Some);
        }
        let mask = Array::empty(x.shape(), DType::Bool, x.device())?;
        super::arrays::copy(x, &mask)?;
        let mask = mask.with_geometry([n][..].into(), [1][..].into(), mask.offset());
        let counts = Array::empty(&[n], DType::I64, x.device())?;
        if !rustnn_gpu::scan(Scan::Sum, false, &mask, 0, &counts)? {
            return Ok(None);
        }
        let total = super::arrays::first(&counts.with_geometry(Default::default(), Default::default(), counts.offset() + n - 1))?;
        let places = Array::empty(&[total.to_i64() as usize], DType::I64, x.device())?;
        Ok(rustnn_gpu::counted_places(&counts, &places)?.then_some(places))
    }

    /// True elements in all.
    pub fn total(&self) -> usize {
        match &self.0 {
            Truth::Host(mask) => mask.total(),
            #[cfg(feature = "gpu")]
            Truth::Gpu { places, .. } => places.numel(),
        }
    }

    /// The same on the CPU: waits for a GPU.
    fn on_host(&self) -> Result<std::borrow::Cow<'_, cpu::Mask>> {
        match &self.0 {
            Truth::Host(mask) => Ok(std::borrow::Cow::Borrowed(mask)),
            #[cfg(feature = "gpu")]
            Truth::Gpu { places, shape } => {
                let flags = Array::zeros(shape, DType::Bool, Device::Cpu)?;
                let here = super::download(places)?;
                let Ok(at) = cpu::Indices::new(&here, flags.numel(), false)? else {
                    rustnn_tensor::bail!(Runtime, "a mask has been written while it was read")
                };
                let ones = Array::empty(&[here.numel()], DType::Bool, Device::Cpu)?;
                rustnn_kernels::arrays::fill(&ones, true.into())?;
                let flat = flags.with_geometry([flags.numel()][..].into(), [1][..].into(), 0);
                cpu::scatter(Reduce::Assign, &flat, 0, &at, &ones)?;
                cpu::Mask::new(&flags).map(std::borrow::Cow::Owned)
            }
        }
    }

    /// Coordinates of the true elements, `total x rank`.
    pub fn nonzero(&self, out: &Array) -> Result<()> {
        if place(&[Some(out)])? == Place::Host {
            return self.on_host()?.nonzero(out);
        }
        #[cfg(feature = "gpu")]
        if let Truth::Gpu { places, shape } = &self.0
            && rustnn_gpu::coordinates(places, shape, out)?
        {
            return Ok(());
        }
        let here = Array::empty(out.shape(), out.dtype(), Device::Cpu)?;
        self.on_host()?.nonzero(&here)?;
        if here.numel() > 0 {
            buffer(out)?.upload(out.reach_bytes().start, rustnn_kernels::arrays::bytes(&here))?;
        }
        Ok(())
    }

    /// The elements of contiguous `x`, shaped as the mask, where it is true.
    pub fn select(&self, x: &Array, out: &Array) -> Result<()> {
        if !on_gpu(&[x, out], &[])? {
            return self.on_host()?.select(x, out);
        }
        #[cfg(feature = "gpu")]
        {
            let places = self.places(x.device())?;
            if rustnn_gpu::index_select(&x.with_geometry([x.numel()][..].into(), [1][..].into(), x.offset()), 0, &places, out)? {
                return Ok(());
            }
        }
        on_copies("masked_select", [x], [out], &[], |[x], [out], _| self.on_host()?.select(x, out))
    }

    /// Successive elements of contiguous `values` to the true places of contiguous `target`.
    pub fn scatter(&self, values: &Array, target: &Array) -> Result<()> {
        if !on_gpu(&[values, target], &[])? {
            return self.on_host()?.scatter(values, target);
        }
        #[cfg(feature = "gpu")]
        {
            let places = self.places(target.device())?;
            let flat = |a: &Array, n: usize| a.with_geometry([n][..].into(), [1][..].into(), a.offset());
            let (to, from) = (flat(target, target.numel()), flat(values, self.total()));
            if rustnn_gpu::scatter(Reduce::Assign, &to, 0, &places, &from)? {
                return Ok(());
            }
        }
        on_copies("masked_scatter", [values], [target], &[], |[values], [target], _| self.on_host()?.scatter(values, target))
    }

    /// Where the true elements lie, counted through, as an int64 array on a GPU.
    #[cfg(feature = "gpu")]
    fn places(&self, device: Device) -> Result<Array> {
        let mask = match &self.0 {
            Truth::Gpu { places, .. } => return Ok(places.clone()),
            Truth::Host(mask) => mask,
        };
        let here = mask.places()?;
        let there = Array::empty(here.shape(), DType::I64, device)?;
        super::upload(&here, &there)?;
        Ok(there)
    }
}

/// Keeps one half of the last two dimensions and zeros the other; both contiguous and of one shape, `out` may be `x`.
pub fn triangle(half: Half, diagonal: i64, x: &Array, out: &Array) -> Result<()> {
    door!([x] [out] indexing::triangle(half, diagonal, x, out) gpu)
}

/// Sorts the last dimension of contiguous `x`, stably; `values` and `indices` are contiguous and of `x`'s shape.
pub fn sort(descending: bool, x: &Array, values: Option<&Array>, indices: Option<&Array>) -> Result<()> {
    door!([x] [values, indices] indexing::sort(descending, x, values, indices) gpu)
}

/// The `k` greatest (or least) of the last dimension of contiguous `x`, in order; outputs contiguous with last size `k`.
pub fn topk(greatest: bool, k: usize, x: &Array, values: &Array, indices: &Array) -> Result<()> {
    door!([x] [values, indices] indexing::topk(greatest, k, x, values, indices) gpu)
}

/// The `k`-th least (from 1) of the last dimension of contiguous `x`; one output element per row.
pub fn kthvalue(k: usize, x: &Array, values: &Array, indices: &Array) -> Result<()> {
    door!([x] [values, indices] indexing::kthvalue(k, x, values, indices) gpu)
}

/// Sums or products along `dim`, from the end if `backwards`; `out` contiguous, of `x`'s shape and dtype.
pub fn scan(kind: Scan, backwards: bool, x: &Array, dim: usize, out: &Array) -> Result<()> {
    door!([x] [out] indexing::scan(kind, backwards, x, dim, out) gpu)
}

/// The extreme so far along `dim` and its place; all contiguous and of one shape.
pub fn running_extremes(greatest: bool, x: &Array, dim: usize, values: &Array, indices: &Array) -> Result<()> {
    door!([x] [values, indices] indexing::running_extremes(greatest, x, dim, values, indices) gpu)
}

/// `ln Σ exp` so far along `dim`; both contiguous, of one shape and float dtype.
pub fn running_log_sum_exp(backwards: bool, x: &Array, dim: usize, out: &Array) -> Result<()> {
    door!([x] [out] indexing::running_log_sum_exp(backwards, x, dim, out) gpu)
}

/// The most frequent element of the ascending rows of contiguous `sorted`, and where in the row its run ends.
pub fn modes(sorted: &Array, values: &Array, ends: &Array) -> Result<()> {
    door!([sorted] [values, ends] indexing::modes(sorted, values, ends) gpu)
}

/// Distinct elements of a contiguous array in ascending order, or its runs of equal neighbours.
pub fn unique(x: &Array, consecutive: bool) -> Result<Distinct> {
    door!([x] [] indexing::unique(x, consecutive))
}

/// Distinct rows (first dimension) of a contiguous array, in lexicographic order.
pub fn unique_rows(x: &Array) -> Result<Distinct> {
    door!([x] [] indexing::unique_rows(x))
}
