//! Tensors on GPUs through wgpu (Vulkan, Metal, DX12), with kernels in WGSL. What the op table's formulas say is read as text and
//! becomes shaders; the other kernels stand in this crate, one file a family. A function says by `false` that it has no kernel for
//! a call (a dtype that shaders lack, a shape beyond the limits): the caller then computes on the CPU.
//!
//! Commands gather in one encoder and are submitted every few dozen and at reads; only reads wait. A device's memory is pooled.

mod call;
mod device;
mod elementwise;
mod fault;
mod index;
mod matmul;
mod norm;
mod optimizer;
mod pool;
mod probe;
mod random;
mod reduce;
mod rows;
mod scan;
mod shader;
mod softmax;
mod sort;
mod words;

pub use device::{CHECKER, Gpu, device_count, device_name, gpu, is_imitated, register, watch_shaders};
pub use elementwise::{copy, elementwise, fill, integer_powers};
pub use fault::{refuse_outside, refuse_where};
pub use index::{
    coordinates, counted_places, embedding_backward, gather, index_get, index_put, index_select, index_update, move_inside, one_hot,
    scatter,
};
pub use matmul::{conv_backward_input, conv_backward_weight, conv_forward, matmul, matmul_activated};
pub use norm::{
    batch_norm_apply, batch_norm_backward, batch_norm_train, group_norm, group_norm_backward, row_norm, row_norm_backward, update_running,
};
pub use optimizer::{adam, sgd};
pub use pool::{
    adaptive_avg_pool, adaptive_avg_pool_backward, adaptive_max_pool, avg_pool, avg_pool_backward, max_pool, max_pool_backward, pick,
};
pub use probe::{buffer_copy, fma_loop};
pub use random::{bernoulli_each, dropout, fill_random, multinomial};
pub use reduce::{arg_extreme, reduce, triangle, variance};
pub use scan::{running_extremes, running_log_sum_exp, scan};
pub use softmax::{class_loss, class_loss_backward, softmax, softmax_backward};
pub use sort::{kthvalue, modes, searchsorted, sort, topk};
