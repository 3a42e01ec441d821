//! Attention, composed of ops as the Python package composes it.

use super::dropout::probability;
use super::{Forward, Linear, Module, Parameter, Training, init};
use crate::tensor::signed;
use crate::{DType, Error, Result, Tensor};
use rustnn_ops::{matmul, random};

/// `softmax(Q Kᵀ / √E + mask) V` over the last two dimensions: (…, L, E), (…, S, E), (…, S, E′) -> (…, L, E′).
///
/// # Errors
/// If the shapes do not fit.
pub fn scaled_dot_product_attention(query: &Tensor, key: &Tensor, value: &Tensor, mask: Mask) -> Result<Tensor> {
    attend(query, key, value, mask, 0.0)
}

/// Which positions an attention sees.
#[derive(Clone, Copy, Debug, Default)]
pub enum Mask<'a> {
    /// All.
    #[default]
    None,
    /// Position i those up to i.
    Causal,
    /// Those where it is true, or whose number is added to the score; broadcast to (…, L, S).
    Tensor(&'a Tensor),
}

fn attend(query: &Tensor, key: &Tensor, value: &Tensor, mask: Mask, dropout: f64) -> Result<Tensor> {
    if query.rank().min(key.rank()).min(value.rank()) < 2 {
        return Err(Error::value(format!(
            "Expected query, key, and value to all be at least 2 dimensional, but got {}, {} and {}",
            query.rank(),
            key.rank(),
            value.rank()
        )));
    }
    let scale = 1.0 / (query.size(-1)? as f64).sqrt();
    let mut scores = query.mul(scale)?.matmul(&key.transpose(-2, -1)?)?;
    match mask {
        Mask::None => {}
        Mask::Causal => {
            let hidden = Tensor::full([query.size(-2)?, key.size(-2)?], 1.0, DType::Bool)?.to_device(query.device())?.triu(1)?;
            scores = scores.masked_fill(&hidden, f64::NEG_INFINITY)?;
        }
        Mask::Tensor(mask) if mask.dtype() == DType::Bool => {
            scores = scores.masked_fill(&mask.logical_not()?, f64::NEG_INFINITY)?;
        }
        Mask::Tensor(mask) => scores = scores.add(mask)?,
    }
    let mut weights = scores.softmax(-1)?;
    if dropout > 0.0 {
        weights = random::dropout(weights.as_op(), dropout, true, false)?.into();
    }
    weights.matmul(value)
}

/// The settings of [`MultiheadAttention`] beside its width and heads.
#[derive(Clone, Copy, Debug)]
pub struct AttentionOptions {
    /// The probability of dropping an attention weight, in training.
    pub dropout: f64,
    /// Whether the projections add biases.
    pub bias: bool,
    /// The width of keys, where it is another than that of queries.
    pub kdim: Option<usize>,
    /// The width of values, where it is another than that of queries.
    pub vdim: Option<usize>,
    /// One more key and value, learned.
    pub add_bias_kv: bool,
    /// One more key and value, of zeros.
    pub add_zero_attn: bool,
}

impl Default for AttentionOptions {
    fn default() -> AttentionOptions {
        AttentionOptions { dropout: 0.0, bias: true, kdim: None, vdim: None, add_bias_kv: false, add_zero_attn: false }
    }
}

/// Attention of several heads over projected queries, keys and values: (N, L, E), (N, S, kdim), (N, S, vdim) -> (N, L, E).
/// PyTorch's `MultiheadAttention(…, batch_first=True)` without its weights as a second result. Vaswani et al. 2017, section
/// 3.2.2.
///
/// A mask broadcasts to (N, heads, L, S): one that hides padded keys has the shape (N, 1, 1, S).
///
/// ```
/// # fn main() -> rustnn::Result<()> {
/// use rustnn::{Tensor, nn::{Mask, MultiheadAttention}};
/// let attention = MultiheadAttention::new(8, 2)?;
/// let x = Tensor::ones([3, 5, 8])?;
/// assert_eq!(attention.forward(&x, &x, &x, Mask::Causal)?.shape(), [3, 5, 8]);
/// # Ok(())
/// # }
/// ```
#[derive(Module)]
pub struct MultiheadAttention {
    /// (3 E, E): the projections of queries, keys and values, where all have the width E.
    pub in_proj_weight: Option<Parameter>,
    /// (E, E), where keys or values have another width; so the next two.
    pub q_proj_weight: Option<Parameter>,
    /// (E, kdim).
    pub k_proj_weight: Option<Parameter>,
    /// (E, vdim).
    pub v_proj_weight: Option<Parameter>,
    /// (3 E).
    pub in_proj_bias: Option<Parameter>,
    /// (1, 1, E): the further key.
    pub bias_k: Option<Parameter>,
    /// (1, 1, E): the further value.
    pub bias_v: Option<Parameter>,
    /// The projection of the heads' outputs.
    pub out_proj: Linear,
    heads: usize,
    #[module(skip)]
    options: AttentionOptions,
    training: Training,
}

impl MultiheadAttention {
    /// With biases, without dropout.
    ///
    /// # Errors
    /// If `num_heads` does not divide `embed_dim`, or either is 0.
    pub fn new(embed_dim: usize, num_heads: usize) -> Result<MultiheadAttention> {
        MultiheadAttention::with(embed_dim, num_heads, AttentionOptions::default())
    }

    /// [`new`](MultiheadAttention::new) with other settings.
    ///
    /// # Errors
    /// As [`new`](MultiheadAttention::new); and for a dropout that is no probability.
    pub fn with(embed_dim: usize, num_heads: usize, options: AttentionOptions) -> Result<MultiheadAttention> {
        if embed_dim == 0 || num_heads == 0 {
            return Err(Error::value(format!(
                "embed_dim and num_heads must be greater than 0, got embed_dim={embed_dim} and num_heads={num_heads} instead"
            )));
        }
        if embed_dim % num_heads != 0 {
            return Err(Error::value("embed_dim must be divisible by num_heads"));
        }
        probability(options.dropout)?;
        let three = embed_dim.checked_mul(3).ok_or_else(|| Error::value("embed_dim is too large"))?;
        // The output projection draws first.
        let out_proj = Linear::with(embed_dim, embed_dim, options.bias)?;
        let drawn = |shape: &[usize]| {
            let weight = init::constant(shape, 0.0)?;
            init::xavier_uniform_(&weight, 1.0)?;
            Ok::<_, Error>(Some(weight))
        };
        let (kdim, vdim) = (options.kdim.unwrap_or(embed_dim), options.vdim.unwrap_or(embed_dim));
        let [in_proj_weight, q_proj_weight, k_proj_weight, v_proj_weight] = if kdim == embed_dim && vdim == embed_dim {
            [drawn(&[three, embed_dim])?, None, None, None]
        } else {
            [None, drawn(&[embed_dim, embed_dim])?, drawn(&[embed_dim, kdim])?, drawn(&[embed_dim, vdim])?]
        };
        let in_proj_bias = if options.bias { Some(init::constant(&[three], 0.0)?) } else { None };
        if let Some(bias) = &out_proj.bias {
            init::constant_(bias, 0.0)?;
        }
        let further = || {
            if !options.add_bias_kv {
                return Ok(None);
            }
            let row = init::constant(&[1, 1, embed_dim], 0.0)?;
            init::xavier_normal_(&row, 1.0)?;
            Ok::<_, Error>(Some(row))
        };
        let (bias_k, bias_v) = (further()?, further()?);
        Ok(MultiheadAttention {
            in_proj_weight,
            q_proj_weight,
            k_proj_weight,
            v_proj_weight,
            in_proj_bias,
            bias_k,
            bias_v,
            out_proj,
            heads: num_heads,
            options,
            training: Training::default(),
        })
    }

    /// The result for queries, keys and values; pass one tensor three times for self-attention.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn forward(&self, query: &Tensor, key: &Tensor, value: &Tensor, mask: Mask) -> Result<Tensor> {
        for (name, x) in [("query", query), ("key", key), ("value", value)] {
            if x.rank() != 3 {
                return Err(Error::value(format!("{name} has 3 dimensions (N, L, E), got {:?}", x.shape())));
            }
        }
        let [batch, length, embed] = [query.size(0)?, query.size(1)?, self.out_proj.weight.size(1)?];
        let [q, mut k, mut v] = self.project(query, key, value)?;
        for (x, row) in [(&mut k, &self.bias_k), (&mut v, &self.bias_v)] {
            if let Some(row) = row {
                *x = Tensor::cat(&[x.clone(), row.expand(signed(&[batch, 1, embed]))?], 1)?;
            }
        }
        let heads = |x: &Tensor| {
            let [n, l, h] = [x.size(0)?, x.size(1)?, self.heads];
            x.reshape(signed(&[n, l, h, embed / h]))?.transpose(1, 2)
        };
        let (q, mut k, mut v) = (heads(&q)?, heads(&k)?, heads(&v)?);
        if self.options.add_zero_attn {
            for x in [&mut k, &mut v] {
                let zero = Tensor::full([x.size(0)?, x.size(1)?, 1, x.size(3)?], 0.0, x.dtype())?.to_device(x.device())?;
                *x = Tensor::cat(&[x.clone(), zero], 2)?;
            }
        }
        // The further keys are seen by all.
        let wide;
        let mask = match mask {
            Mask::None => Mask::None,
            mask if k.size(2)? == key.size(1)? => mask,
            mask => {
                wide = self.widened(mask, length, key.size(1)?, &q)?;
                Mask::Tensor(&wide)
            }
        };
        let dropout = if self.training.is_on() { self.options.dropout } else { 0.0 };
        let mixed = attend(&q, &k, &v, mask, dropout)?;
        self.out_proj.forward(&mixed.transpose(1, 2)?.reshape(signed(&[batch, length, embed]))?)
    }

    fn project(&self, query: &Tensor, key: &Tensor, value: &Tensor) -> Result<[Tensor; 3]> {
        let bias = self.in_proj_bias.as_ref();
        let weights = match &self.in_proj_weight {
            // One wide product in place of three.
            Some(weight) if query.same(key) && key.same(value) => {
                return three(linear(query, weight, bias.map(|b| &**b))?.chunk(3, -1)?);
            }
            Some(weight) => three(weight.chunk(3, 0)?)?,
            None => match [&self.q_proj_weight, &self.k_proj_weight, &self.v_proj_weight] {
                [Some(q), Some(k), Some(v)] => [q, k, v].map(|w| Tensor::clone(w)),
                _ => return Err(Error::value("an attention without a projection of queries, keys or values")),
            },
        };
        let biases = bias.map(|b| b.chunk(3, 0)).transpose()?.map(three).transpose()?;
        let project = |i: usize, x: &Tensor| linear(x, &weights[i], biases.as_ref().map(|b| &b[i]));
        Ok([project(0, query)?, project(1, key)?, project(2, value)?])
    }

    /// A mask of (L, S) with columns for the further keys.
    fn widened(&self, mask: Mask, length: usize, keys: usize, like: &Tensor) -> Result<Tensor> {
        let mask = match mask {
            Mask::Tensor(mask) => mask.clone(),
            _ => Tensor::full([length, keys], 1.0, DType::Bool)?.to_device(like.device())?.tril(0)?,
        };
        let further = usize::from(self.bias_k.is_some()) + usize::from(self.options.add_zero_attn);
        let value = if mask.dtype() == DType::Bool { 1.0 } else { 0.0 };
        // A mask of one column is for all keys.
        let mut shape = mask.shape().to_vec();
        let Some(last) = shape.last_mut() else {
            return Err(Error::value("a mask has at least one dimension"));
        };
        *last = keys;
        let mask = mask.expand(signed(&shape))?;
        super::pad(&mask, &[[0, signed(&[further])[0]]], super::PaddingMode::Constant(value))
    }
}

fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    Ok(matmul::linear(x.as_op(), weight.as_op(), bias.map(Tensor::as_op))?.into())
}

fn three(parts: Vec<Tensor>) -> Result<[Tensor; 3]> {
    parts.try_into().map_err(|_| Error::value("in_proj_weight holds three projections"))
}
