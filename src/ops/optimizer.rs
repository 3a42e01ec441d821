//! One step of an optimizer over all parameters in one call.

use crate::device::layers;
use crate::tensor::Tensor;
use rustnn_tensor::{Array, DType, Result, ensure};
use smallvec::SmallVec;

pub use crate::device::layers::{Adam, Sgd};

fn arrays(tensors: &[Tensor]) -> SmallVec<[&Array; 16]> {
    tensors.iter().map(Tensor::array).collect()
}

/// The parameters' dtypes, each with its places, in order of appearance: one kernel call each.
fn by_dtype(params: &[Tensor]) -> SmallVec<[(DType, SmallVec<[usize; 16]>); 1]> {
    let mut groups: SmallVec<[(DType, SmallVec<[usize; 16]>); 1]> = SmallVec::new();
    for (i, p) in params.iter().enumerate() {
        match groups.iter_mut().find(|g| g.0 == p.dtype()) {
            Some(group) => group.1.push(i),
            None => groups.push((p.dtype(), SmallVec::from_slice(&[i]))),
        }
    }
    groups
}

/// Tensors that the kernels cannot take as they lie (not contiguous) go through dense copies.
struct Dense<'a> {
    tensors: &'a [Tensor],
    copies: Vec<(usize, Array)>,
}

impl<'a> Dense<'a> {
    fn new(tensors: &'a [Tensor], like: &[Tensor]) -> Result<Self> {
        let mut copies = Vec::new();
        for (i, (t, p)) in tensors.iter().zip(like).enumerate() {
            ensure!(
                t.shape() == p.shape(),
                Runtime,
                "optimizer step: got a gradient or state of shape {:?} for a parameter of shape {:?}",
                t.shape(),
                p.shape()
            );
            if !t.is_contiguous() || t.dtype() != p.dtype() {
                let dense = crate::copy::contiguous_array(&crate::copy::cast_array(t.array(), p.dtype())?)?;
                copies.push((i, if dense.storage().same(t.array().storage()) { crate::copy::clone_array(&dense)? } else { dense }));
            }
        }
        Ok(Dense { tensors, copies })
    }

    fn get(&self) -> SmallVec<[&Array; 16]> {
        let mut out = arrays(self.tensors);
        self.copies.iter().for_each(|(i, a)| out[*i] = a);
        out
    }

    /// Writes changed copies back and counts the write.
    fn written(&self) -> Result<()> {
        for (i, copy) in &self.copies {
            crate::copy::copy_array(copy, self.tensors[*i].array())?;
        }
        self.tensors.iter().for_each(Tensor::bump_version);
        Ok(())
    }
}

fn pick<'a>(all: &[&'a Array], places: &[usize]) -> SmallVec<[&'a Array; 16]> {
    places.iter().map(|&i| all[i]).collect()
}

fn any_complex(params: &[Tensor]) -> bool {
    params.iter().any(|p| p.dtype().is_complex())
}

/// The tensors with complex ones seen as pairs of real numbers, in which an optimizer steps.
fn parts(tensors: &[Tensor]) -> Result<Vec<Tensor>> {
    let part = |t: &Tensor| if t.dtype().is_complex() { crate::complex::view_as_real(t) } else { Ok(t.clone()) };
    crate::mode::no_grad(|| tensors.iter().map(part).collect())
}

/// SGD; momentum buffers, where given, are one per parameter, `first` telling which have just been made.
pub fn sgd(settings: &Sgd, params: &[Tensor], grads: &[Tensor], buffers: &[Tensor], first: &[bool]) -> Result<()> {
    if any_complex(params) {
        return sgd(settings, &parts(params)?, &parts(grads)?, &parts(buffers)?, first);
    }
    let (p, g) = (Dense::new(params, params)?, Dense::new(grads, params)?);
    let b = Dense::new(buffers, params)?;
    let (pa, ga, ba) = (p.get(), g.get(), b.get());
    for (_, places) in by_dtype(params) {
        let first: SmallVec<[bool; 16]> = places.iter().filter_map(|&i| first.get(i).copied()).collect();
        let buffers = if ba.is_empty() { SmallVec::new() } else { pick(&ba, &places) };
        layers::sgd(settings, &pick(&pa, &places), &pick(&ga, &places), &buffers, &first)?;
    }
    b.written()?;
    p.written()
}

/// Adam or AdamW; `steps` (0-dim float32 tensors) are counted up here.
pub fn adam(
    settings: &Adam,
    params: &[Tensor],
    grads: &[Tensor],
    averages: &[Tensor],
    squares: &[Tensor],
    greatest: Option<&[Tensor]>,
    steps: &[Tensor],
) -> Result<()> {
    if any_complex(params) {
        let greatest = greatest.map(parts).transpose()?;
        let (averages, squares) = (parts(averages)?, parts(squares)?);
        return adam(settings, &parts(params)?, &parts(grads)?, &averages, &squares, greatest.as_deref(), steps);
    }
    let mut counts: SmallVec<[f64; 16]> = SmallVec::new();
    for step in steps {
        let now = crate::read::item(step)?.to_f64() + 1.0;
        crate::copy::fill_array(step.array(), now.into())?;
        step.bump_version();
        counts.push(now);
    }
    let (p, g) = (Dense::new(params, params)?, Dense::new(grads, params)?);
    let (m, v) = (Dense::new(averages, params)?, Dense::new(squares, params)?);
    let w = greatest.map(|t| Dense::new(t, params)).transpose()?;
    let (pa, ga, ma, va) = (p.get(), g.get(), m.get(), v.get());
    let wa = w.as_ref().map(Dense::get);
    for (_, places) in by_dtype(params) {
        let counts: SmallVec<[f64; 16]> = places.iter().map(|&i| counts[i]).collect();
        let greatest = wa.as_ref().map(|w| pick(w, &places));
        layers::adam(
            settings,
            &pick(&pa, &places),
            &pick(&ga, &places),
            &pick(&ma, &places),
            &pick(&va, &places),
            greatest.as_deref(),
            &counts,
        )?;
    }
    for dense in [Some(&m), Some(&v), w.as_ref(), Some(&p)].into_iter().flatten() {
        dense.written()?;
    }
    Ok(())
}
