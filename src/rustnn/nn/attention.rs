//! Attention and the transformer's layers, composed of ops as the Python package composes them.

use super::{Dropout, Forward, LayerNorm, Linear, Module, Parameter, Training, init};
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

/// Attention of several heads over projected queries, keys and values: (N, L, E), (N, S, E), (N, S, E) -> (N, L, E). PyTorch's
/// `MultiheadAttention(…, batch_first=True)` without its weights as a second result. Vaswani et al. 2017, section 3.2.2.
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
    /// (3 E, E): the projections of queries, keys and values.
    pub in_proj_weight: Parameter,
    /// (3 E).
    pub in_proj_bias: Option<Parameter>,
    /// The projection of the heads' outputs.
    pub out_proj: Linear,
    heads: usize,
    dropout: f64,
    training: Training,
}

impl MultiheadAttention {
    /// With biases, without dropout.
    ///
    /// # Errors
    /// If `num_heads` does not divide `embed_dim`, or either is 0.
    pub fn new(embed_dim: usize, num_heads: usize) -> Result<MultiheadAttention> {
        MultiheadAttention::with(embed_dim, num_heads, 0.0, true)
    }

    /// With or without biases; `dropout` is the probability of dropping an attention weight in training.
    ///
    /// # Errors
    /// As [`new`](MultiheadAttention::new).
    pub fn with(embed_dim: usize, num_heads: usize, dropout: f64, bias: bool) -> Result<MultiheadAttention> {
        if embed_dim == 0 || num_heads == 0 {
            return Err(Error::value(format!(
                "embed_dim and num_heads must be greater than 0, got embed_dim={embed_dim} and num_heads={num_heads} instead"
            )));
        }
        if embed_dim % num_heads != 0 {
            return Err(Error::value("embed_dim must be divisible by num_heads"));
        }
        // The output projection draws first.
        let out_proj = Linear::with(embed_dim, embed_dim, bias)?;
        let in_proj_weight = init::constant(&[3 * embed_dim, embed_dim], 0.0)?;
        init::xavier_uniform_(&in_proj_weight, 1.0)?;
        let in_proj_bias = if bias { Some(init::constant(&[3 * embed_dim], 0.0)?) } else { None };
        if let Some(bias) = &out_proj.bias {
            init::constant_(bias, 0.0)?;
        }
        Ok(MultiheadAttention { in_proj_weight, in_proj_bias, out_proj, heads: num_heads, dropout, training: Training::default() })
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
        let [embed, batch, length] = [query.size(2)?, query.size(0)?, query.size(1)?];
        let bias = self.in_proj_bias.as_ref();
        let [q, k, v] = if query.same(key) && key.same(value) {
            // One wide product in place of three.
            three(linear(query, &self.in_proj_weight, bias.map(|b| &**b))?.chunk(3, -1)?)?
        } else {
            let weights = three(self.in_proj_weight.chunk(3, 0)?)?;
            let biases = bias.map(|b| b.chunk(3, 0)).transpose()?.map(three).transpose()?;
            let project = |i: usize, x: &Tensor| linear(x, &weights[i], biases.as_ref().map(|b| &b[i]));
            [project(0, query)?, project(1, key)?, project(2, value)?]
        };
        let heads = |x: &Tensor| {
            let [n, l, h] = [x.size(0)?, x.size(1)?, self.heads];
            x.reshape(signed(&[n, l, h, embed / h]))?.transpose(1, 2)
        };
        let dropout = if self.training.is_on() { self.dropout } else { 0.0 };
        let mixed = attend(&heads(&q)?, &heads(&k)?, &heads(&v)?, mask, dropout)?;
        self.out_proj.forward(&mixed.transpose(1, 2)?.reshape(signed(&[batch, length, embed]))?)
    }
}

fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    Ok(matmul::linear(x.as_op(), weight.as_op(), bias.map(Tensor::as_op))?.into())
}

fn activate(x: &Tensor, gelu: bool) -> Result<Tensor> {
    if gelu { super::GELU::default().forward(x) } else { x.relu() }
}

fn three(parts: Vec<Tensor>) -> Result<[Tensor; 3]> {
    parts.try_into().map_err(|_| Error::value("in_proj_weight holds three projections"))
}

/// The settings of a transformer's layer beside its width and heads.
#[derive(Clone, Copy, Debug)]
pub struct TransformerOptions {
    /// The inner width of the feed-forward network.
    pub dim_feedforward: usize,
    /// The probability of zero after each block, in training.
    pub dropout: f64,
    /// GELU in place of ReLU.
    pub gelu: bool,
    /// Normalise before the blocks rather than after.
    pub norm_first: bool,
    /// Whether linear layers and norms have biases.
    pub bias: bool,
}

impl Default for TransformerOptions {
    fn default() -> TransformerOptions {
        TransformerOptions { dim_feedforward: 2048, dropout: 0.1, gelu: false, norm_first: false, bias: true }
    }
}

/// Self-attention and a feed-forward network, each added to its input and normalised: (N, L, E) -> (N, L, E). PyTorch's
/// `TransformerEncoderLayer(…, batch_first=True)`. Vaswani et al. 2017.
///
/// ```
/// # fn main() -> rustnn::Result<()> {
/// use rustnn::{Tensor, nn::{Forward, TransformerEncoderLayer}};
/// assert_eq!(TransformerEncoderLayer::new(8, 2)?.forward(&Tensor::ones([3, 5, 8])?)?.shape(), [3, 5, 8]);
/// # Ok(())
/// # }
/// ```
#[derive(Module)]
pub struct TransformerEncoderLayer {
    /// The attention.
    pub self_attn: MultiheadAttention,
    /// The feed-forward network's first layer.
    pub linear1: Linear,
    dropout: Dropout,
    /// The feed-forward network's second layer.
    pub linear2: Linear,
    /// Around the attention.
    pub norm1: LayerNorm,
    /// Around the feed-forward network.
    pub norm2: LayerNorm,
    dropout1: Dropout,
    dropout2: Dropout,
    #[module(skip)]
    options: TransformerOptions,
}

impl TransformerEncoderLayer {
    /// PyTorch's settings.
    ///
    /// # Errors
    /// If `nhead` does not divide `d_model`.
    pub fn new(d_model: usize, nhead: usize) -> Result<TransformerEncoderLayer> {
        TransformerEncoderLayer::with(d_model, nhead, TransformerOptions::default())
    }

    /// Other settings.
    ///
    /// # Errors
    /// As [`new`](TransformerEncoderLayer::new); and for a dropout that is no probability.
    pub fn with(d_model: usize, nhead: usize, options: TransformerOptions) -> Result<TransformerEncoderLayer> {
        let TransformerOptions { dim_feedforward, dropout: p, bias, .. } = options;
        Ok(TransformerEncoderLayer {
            self_attn: MultiheadAttention::with(d_model, nhead, p, bias)?,
            linear1: Linear::with(d_model, dim_feedforward, bias)?,
            dropout: Dropout::new(p)?,
            linear2: Linear::with(dim_feedforward, d_model, bias)?,
            norm1: LayerNorm::with([d_model], 1e-5, bias)?,
            norm2: LayerNorm::with([d_model], 1e-5, bias)?,
            dropout1: Dropout::new(p)?,
            dropout2: Dropout::new(p)?,
            options,
        })
    }

    /// The result, of which position i sees what the mask lets it see.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn forward_masked(&self, x: &Tensor, mask: Mask) -> Result<Tensor> {
        let attention = |x: &Tensor| self.dropout1.forward(&self.self_attn.forward(x, x, x, mask)?);
        let network = |x: &Tensor| {
            let inner = activate(&self.linear1.forward(x)?, self.options.gelu)?;
            self.dropout2.forward(&self.linear2.forward(&self.dropout.forward(&inner)?)?)
        };
        if self.options.norm_first {
            let x = x.add(&attention(&self.norm1.forward(x)?)?)?;
            return x.add(&network(&self.norm2.forward(&x)?)?);
        }
        let x = self.norm1.forward(&x.add(&attention(x)?)?)?;
        self.norm2.forward(&x.add(&network(&x)?)?)
    }
}

impl Forward for TransformerEncoderLayer {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_masked(x, Mask::None)
    }
}

/// Self-attention, attention to a memory, and a feed-forward network: (N, T, E) and (N, S, E) -> (N, T, E). PyTorch's
/// `TransformerDecoderLayer(…, batch_first=True)`. Vaswani et al. 2017.
///
/// ```
/// # fn main() -> rustnn::Result<()> {
/// use rustnn::{Tensor, nn::{Mask, TransformerDecoderLayer}};
/// let layer = TransformerDecoderLayer::new(8, 2)?;
/// let y = layer.forward(&Tensor::ones([3, 5, 8])?, &Tensor::ones([3, 7, 8])?, Mask::Causal, Mask::None)?;
/// assert_eq!(y.shape(), [3, 5, 8]);
/// # Ok(())
/// # }
/// ```
#[derive(Module)]
pub struct TransformerDecoderLayer {
    /// The attention to the sequence itself.
    pub self_attn: MultiheadAttention,
    /// The attention to the memory.
    pub multihead_attn: MultiheadAttention,
    /// The feed-forward network's first layer.
    pub linear1: Linear,
    dropout: Dropout,
    /// The feed-forward network's second layer.
    pub linear2: Linear,
    /// Around the attention to the sequence.
    pub norm1: LayerNorm,
    /// Around the attention to the memory.
    pub norm2: LayerNorm,
    /// Around the feed-forward network.
    pub norm3: LayerNorm,
    dropout1: Dropout,
    dropout2: Dropout,
    dropout3: Dropout,
    #[module(skip)]
    options: TransformerOptions,
}

impl TransformerDecoderLayer {
    /// PyTorch's settings.
    ///
    /// # Errors
    /// If `nhead` does not divide `d_model`.
    pub fn new(d_model: usize, nhead: usize) -> Result<TransformerDecoderLayer> {
        TransformerDecoderLayer::with(d_model, nhead, TransformerOptions::default())
    }

    /// Other settings.
    ///
    /// # Errors
    /// As [`new`](TransformerDecoderLayer::new); and for a dropout that is no probability.
    pub fn with(d_model: usize, nhead: usize, options: TransformerOptions) -> Result<TransformerDecoderLayer> {
        let TransformerOptions { dim_feedforward, dropout: p, bias, .. } = options;
        let norm = || LayerNorm::with([d_model], 1e-5, bias);
        Ok(TransformerDecoderLayer {
            self_attn: MultiheadAttention::with(d_model, nhead, p, bias)?,
            multihead_attn: MultiheadAttention::with(d_model, nhead, p, bias)?,
            linear1: Linear::with(d_model, dim_feedforward, bias)?,
            dropout: Dropout::new(p)?,
            linear2: Linear::with(dim_feedforward, d_model, bias)?,
            norm1: norm()?,
            norm2: norm()?,
            norm3: norm()?,
            dropout1: Dropout::new(p)?,
            dropout2: Dropout::new(p)?,
            dropout3: Dropout::new(p)?,
            options,
        })
    }

    /// The result for a sequence and a memory, each seen through its mask.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn forward(&self, x: &Tensor, memory: &Tensor, mask: Mask, memory_mask: Mask) -> Result<Tensor> {
        let attention = |x: &Tensor| self.dropout1.forward(&self.self_attn.forward(x, x, x, mask)?);
        let recall = |x: &Tensor| self.dropout2.forward(&self.multihead_attn.forward(x, memory, memory, memory_mask)?);
        let network = |x: &Tensor| {
            let inner = activate(&self.linear1.forward(x)?, self.options.gelu)?;
            self.dropout3.forward(&self.linear2.forward(&self.dropout.forward(&inner)?)?)
        };
        if self.options.norm_first {
            let x = x.add(&attention(&self.norm1.forward(x)?)?)?;
            let x = x.add(&recall(&self.norm2.forward(&x)?)?)?;
            return x.add(&network(&self.norm3.forward(&x)?)?);
        }
        let x = self.norm1.forward(&x.add(&attention(x)?)?)?;
        let x = self.norm2.forward(&x.add(&recall(&x)?)?)?;
        self.norm3.forward(&x.add(&network(&x)?)?)
    }
}
