//! The transformer's layers and stacks of them, composed as the Python package composes them.

use super::{AttentionOptions, Dropout, Forward, LayerNorm, Linear, Mask, Module, MultiheadAttention, init};
use crate::random::Generator;
use crate::{Error, Result, Tensor};
use rustnn_ops as ops;

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
    /// Added to the variance in the norms.
    pub layer_norm_eps: f64,
}

impl Default for TransformerOptions {
    fn default() -> TransformerOptions {
        TransformerOptions { dim_feedforward: 2048, dropout: 0.1, gelu: false, norm_first: false, bias: true, layer_norm_eps: 1e-5 }
    }
}

impl TransformerOptions {
    fn attention(&self) -> AttentionOptions {
        AttentionOptions { dropout: self.dropout, bias: self.bias, ..Default::default() }
    }

    fn norm(&self, d_model: usize) -> Result<LayerNorm> {
        LayerNorm::with([d_model], self.layer_norm_eps, self.bias)
    }

    /// A block, to whose output its input is added, and the norm before the block or after the sum.
    fn residual(&self, norm: &LayerNorm, x: &Tensor, block: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
        if self.norm_first {
            return x.add(&block(&norm.forward(x)?)?);
        }
        norm.forward(&x.add(&block(x)?)?)
    }
}

/// The feed-forward network of a transformer's layer, without the dropout at its end: (*, E) -> (*, E).
#[derive(Module)]
pub struct FeedForward {
    /// To the inner width.
    pub linear1: Linear,
    dropout: Dropout,
    /// And back.
    pub linear2: Linear,
    gelu: bool,
}

impl FeedForward {
    fn new(d_model: usize, options: TransformerOptions) -> Result<FeedForward> {
        Ok(FeedForward {
            linear1: Linear::with(d_model, options.dim_feedforward, options.bias)?,
            dropout: Dropout::new(options.dropout)?,
            linear2: Linear::with(options.dim_feedforward, d_model, options.bias)?,
            gelu: options.gelu,
        })
    }
}

impl Forward for FeedForward {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        // The first layer and its activation are one op.
        let (weight, bias) = (self.linear1.weight.as_op(), self.linear1.bias.as_ref().map(|b| b.as_op()));
        let inner = ops::matmul::linear_activation(x.as_op(), weight, bias, if self.gelu { "gelu" } else { "relu" })?.into();
        self.linear2.forward(&self.dropout.forward(&inner)?)
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
    /// The feed-forward network.
    #[module(flatten)]
    pub feed_forward: FeedForward,
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
        let p = options.dropout;
        Ok(TransformerEncoderLayer {
            self_attn: MultiheadAttention::with(d_model, nhead, options.attention())?,
            feed_forward: FeedForward::new(d_model, options)?,
            norm1: options.norm(d_model)?,
            norm2: options.norm(d_model)?,
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
        let network = |x: &Tensor| self.dropout2.forward(&self.feed_forward.forward(x)?);
        let x = self.options.residual(&self.norm1, x, attention)?;
        self.options.residual(&self.norm2, &x, network)
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
    /// The feed-forward network.
    #[module(flatten)]
    pub feed_forward: FeedForward,
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
        let p = options.dropout;
        Ok(TransformerDecoderLayer {
            self_attn: MultiheadAttention::with(d_model, nhead, options.attention())?,
            multihead_attn: MultiheadAttention::with(d_model, nhead, options.attention())?,
            feed_forward: FeedForward::new(d_model, options)?,
            norm1: options.norm(d_model)?,
            norm2: options.norm(d_model)?,
            norm3: options.norm(d_model)?,
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
        let network = |x: &Tensor| self.dropout3.forward(&self.feed_forward.forward(x)?);
        let x = self.options.residual(&self.norm1, x, attention)?;
        let x = self.options.residual(&self.norm2, &x, recall)?;
        self.options.residual(&self.norm3, &x, network)
    }
}

/// As many layers as asked for with the values of the first, which alone draws: PyTorch copies a layer.
fn copies<M: Module>(count: usize, make: impl Fn() -> Result<M>) -> Result<Vec<M>> {
    let mut layers = vec![make()?];
    super::check_available(count, layers[0].parameters().iter().map(|p| p.numel()).sum())?;
    let state = layers[0].state_dict()?;
    for _ in 1..count {
        // Drawn beside the program's stream, for nothing.
        let layer = Generator::new(0).scope(&make)?;
        layer.load_state_dict(&state)?;
        layers.push(layer);
    }
    layers.truncate(count);
    Ok(layers)
}

/// Layers one after another, and the norm.
fn through<L>(layers: &[L], norm: &Option<LayerNorm>, x: &Tensor, run: impl Fn(&L, &Tensor) -> Result<Tensor>) -> Result<Tensor> {
    let out = layers.iter().try_fold(x.clone(), |x, layer| run(layer, &x))?;
    match norm {
        Some(norm) => norm.forward(&out),
        None => Ok(out),
    }
}

/// Encoder layers one after another, and perhaps a norm: (N, L, E) -> (N, L, E). PyTorch's `TransformerEncoder`.
///
/// ```
/// # fn main() -> rustnn::Result<()> {
/// use rustnn::{Tensor, nn::{Mask, TransformerEncoder}};
/// let encoder = TransformerEncoder::new(8, 2, 3)?;
/// assert_eq!(encoder.forward_masked(&Tensor::ones([3, 5, 8])?, Mask::Causal)?.shape(), [3, 5, 8]);
/// # Ok(())
/// # }
/// ```
#[derive(Module)]
pub struct TransformerEncoder {
    /// The layers.
    pub layers: Vec<TransformerEncoderLayer>,
    /// The norm at the end.
    pub norm: Option<LayerNorm>,
}

impl TransformerEncoder {
    /// `num_layers` layers of PyTorch's settings, all with the same starting values, and no norm.
    ///
    /// # Errors
    /// If `nhead` does not divide `d_model`.
    pub fn new(d_model: usize, nhead: usize, num_layers: usize) -> Result<TransformerEncoder> {
        TransformerEncoder::with(d_model, nhead, num_layers, TransformerOptions::default())
    }

    /// Other settings.
    ///
    /// # Errors
    /// As [`TransformerEncoderLayer::with`].
    pub fn with(d_model: usize, nhead: usize, num_layers: usize, options: TransformerOptions) -> Result<TransformerEncoder> {
        let layers = copies(num_layers, || TransformerEncoderLayer::with(d_model, nhead, options))?;
        Ok(TransformerEncoder { layers, norm: None })
    }

    /// The result, of which position i sees what the mask lets it see.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn forward_masked(&self, x: &Tensor, mask: Mask) -> Result<Tensor> {
        through(&self.layers, &self.norm, x, |layer, x| layer.forward_masked(x, mask))
    }
}

impl Forward for TransformerEncoder {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_masked(x, Mask::None)
    }
}

/// Decoder layers one after another, and perhaps a norm: (N, T, E) and (N, S, E) -> (N, T, E). PyTorch's `TransformerDecoder`.
#[derive(Module)]
pub struct TransformerDecoder {
    /// The layers.
    pub layers: Vec<TransformerDecoderLayer>,
    /// The norm at the end.
    pub norm: Option<LayerNorm>,
}

impl TransformerDecoder {
    /// `num_layers` layers of PyTorch's settings, all with the same starting values, and no norm.
    ///
    /// # Errors
    /// If `nhead` does not divide `d_model`.
    pub fn new(d_model: usize, nhead: usize, num_layers: usize) -> Result<TransformerDecoder> {
        TransformerDecoder::with(d_model, nhead, num_layers, TransformerOptions::default())
    }

    /// Other settings.
    ///
    /// # Errors
    /// As [`TransformerDecoderLayer::with`].
    pub fn with(d_model: usize, nhead: usize, num_layers: usize, options: TransformerOptions) -> Result<TransformerDecoder> {
        let layers = copies(num_layers, || TransformerDecoderLayer::with(d_model, nhead, options))?;
        Ok(TransformerDecoder { layers, norm: None })
    }

    /// The result for a sequence and a memory, each seen through its mask.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn forward(&self, x: &Tensor, memory: &Tensor, mask: Mask, memory_mask: Mask) -> Result<Tensor> {
        through(&self.layers, &self.norm, x, |layer, x| layer.forward(x, memory, mask, memory_mask))
    }
}

/// What each part of a [`Transformer`] sees.
#[derive(Clone, Copy, Debug, Default)]
pub struct TransformerMasks<'a> {
    /// The encoder of the source.
    pub source: Mask<'a>,
    /// The decoder of the target.
    pub target: Mask<'a>,
    /// The decoder of the encoder's output.
    pub memory: Mask<'a>,
}

/// An encoder of a source and a decoder of a target, both with norms: (N, S, E) and (N, T, E) -> (N, T, E). PyTorch's
/// `Transformer(…, batch_first=True)`. Vaswani et al. 2017, section 3.
///
/// ```
/// # fn main() -> rustnn::Result<()> {
/// use rustnn::{Tensor, nn::{Mask, Transformer, TransformerMasks, TransformerOptions}};
/// let net = Transformer::with(8, 2, 1, 1, TransformerOptions { dim_feedforward: 16, ..Default::default() })?;
/// let masks = TransformerMasks { target: Mask::Causal, ..Default::default() };
/// assert_eq!(net.forward(&Tensor::ones([3, 5, 8])?, &Tensor::ones([3, 7, 8])?, masks)?.shape(), [3, 7, 8]);
/// # Ok(())
/// # }
/// ```
#[derive(Module)]
pub struct Transformer {
    /// Of the source.
    pub encoder: TransformerEncoder,
    /// Of the target.
    pub decoder: TransformerDecoder,
    width: usize,
}

impl Transformer {
    /// Six layers on both sides, and PyTorch's settings.
    ///
    /// # Errors
    /// If `nhead` does not divide `d_model`.
    pub fn new(d_model: usize, nhead: usize) -> Result<Transformer> {
        Transformer::with(d_model, nhead, 6, 6, TransformerOptions::default())
    }

    /// Other settings.
    ///
    /// # Errors
    /// As [`TransformerEncoderLayer::with`].
    pub fn with(
        d_model: usize,
        nhead: usize,
        num_encoder_layers: usize,
        num_decoder_layers: usize,
        options: TransformerOptions,
    ) -> Result<Transformer> {
        let mut encoder = TransformerEncoder::with(d_model, nhead, num_encoder_layers, options)?;
        encoder.norm = Some(options.norm(d_model)?);
        let mut decoder = TransformerDecoder::with(d_model, nhead, num_decoder_layers, options)?;
        decoder.norm = Some(options.norm(d_model)?);
        let net = Transformer { encoder, decoder, width: d_model };
        for parameter in net.parameters() {
            if parameter.rank() > 1 {
                init::xavier_uniform_(&parameter, 1.0)?;
            }
        }
        Ok(net)
    }

    /// The decoder's output for a source and a target.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn forward(&self, source: &Tensor, target: &Tensor, masks: TransformerMasks) -> Result<Tensor> {
        let (&[n, _, e], &[m, _, f]) = (source.shape(), target.shape()) else {
            return Err(Error::value(format!("source and target have 3 dimensions, got {:?} and {:?}", source.shape(), target.shape())));
        };
        if n != m {
            return Err(Error::value("the batch number of src and tgt must be equal"));
        }
        if e != self.width || f != self.width {
            return Err(Error::value("the feature number of src and tgt must be equal to d_model"));
        }
        let memory = self.encoder.forward_masked(source, masks.source)?;
        self.decoder.forward(target, &memory, masks.target, masks.memory)
    }
}
