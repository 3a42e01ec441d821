"""Bad input: each call raises PyTorch's class with a message that carries the values, and none panics.

The text is a part of PyTorch 2.13's own message, whatever users and their tests match; tests/parity/ checks the table
against PyTorch itself. A message of ours may say more.
"""

from __future__ import annotations

import copy
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import rustnn

# name: (call on a module and its nn.functional, class, part of the message)
CALLS: dict[str, tuple[Any, type[Exception], str]] = {
    # shapes
    "add of shapes that do not broadcast": (lambda t, F: t.ones(2, 3) + t.ones(4), RuntimeError, 'The size of tensor a (3) must match the size of tensor b (4) at non-singleton dimension 1'),
    "mul of shapes that do not broadcast": (lambda t, F: t.mul(t.ones(2, 3), t.ones(2, 4)), RuntimeError, 'The size of tensor a (3) must match the size of tensor b (4) at non-singleton dimension 1'),
    "in-place add that would change the shape": (lambda t, F: t.ones(3).add_(t.ones(2, 3)), RuntimeError, "output with shape [3] doesn't match the broadcast shape [2, 3]"),
    "matmul with inner sizes that differ": (lambda t, F: t.ones(2, 3) @ t.ones(4, 5), RuntimeError, 'mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)'),
    "matmul with a number of dimensions of 0": (lambda t, F: t.matmul(t.tensor(1.0), t.ones(3)), RuntimeError, 'both arguments to matmul need to be at least 1D, but they are 0D and 1D'),
    "matmul of batches that do not broadcast": (lambda t, F: t.matmul(t.ones(2, 3, 4), t.ones(3, 4, 5)), RuntimeError, 'The size of tensor a (2) must match the size of tensor b (3) at non-singleton dimension 0'),
    "matmul of matrix and vector that differ": (lambda t, F: t.matmul(t.ones(2, 3), t.ones(4)), RuntimeError, 'size mismatch, got input (2), mat (2x3), vec (4)'),
    "mm of vectors": (lambda t, F: t.mm(t.ones(3), t.ones(3)), RuntimeError, 'self must be a matrix'),
    "bmm of different batches": (lambda t, F: t.bmm(t.ones(2, 3, 4), t.ones(3, 4, 5)), RuntimeError, 'Expected size for first two dimensions of batch2 tensor to be: [2, 4] but got: [3, 4].'),
    "addmm with a bias that does not fit": (lambda t, F: t.addmm(t.ones(7), t.ones(2, 3), t.ones(3, 4)), RuntimeError, 'The expanded size of the tensor (4) must match the existing size (7) at non-singleton dimension 1'),
    "dot of different lengths": (lambda t, F: t.dot(t.ones(3), t.ones(4)), RuntimeError, 'inconsistent tensor size, expected tensor [3] and src [4] to have the same number of elements, but got 3 and 4 elements respectively'),
    "a gradient without data": (lambda t, F: (t.ones(2, requires_grad=True) * 2).backward(t.ones(2, device="meta")), RuntimeError, 'invalid gradient at index 0 - expected device cpu but got meta'),
    "fill_ of an integer with too much": (lambda t, F: t.zeros(2, dtype=t.uint8).fill_(300), RuntimeError, 'value cannot be converted to type uint8_t without overflow'),
    "fill_ of a long with a float beyond it": (lambda t, F: t.zeros(2, dtype=t.int64).fill_(1e300), RuntimeError, 'value cannot be converted to type int64_t without overflow'),
    "fill_ of a float with a double beyond it": (lambda t, F: t.zeros(2).fill_(1e300), RuntimeError, 'value cannot be converted to type float without overflow'),
    "dot of matrices": (lambda t, F: t.dot(t.ones(2, 2), t.ones(2, 2)), RuntimeError, '1D tensors expected, but got 2D and 2D tensors'),
    "linear with a weight that does not fit": (lambda t, F: F.linear(t.ones(2, 3), t.ones(5, 4)), RuntimeError, 'mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)'),
    "einsum with sizes that differ": (lambda t, F: t.einsum("ij,jk->ik", t.ones(2, 3), t.ones(4, 5)), RuntimeError, 'einsum(): subscript j has size 4 for operand 1 which does not broadcast with previously seen size 3'),
    "einsum with too few operands": (lambda t, F: t.einsum("ij,jk->ik", t.ones(2, 3)), RuntimeError, 'operands were provided'),
    "einsum with an output letter never seen": (lambda t, F: t.einsum("ij->ik", t.ones(2, 3)), RuntimeError, 'einsum(): output subscript k does not appear in the equation for any input operand'),
    "conv2d with channels that differ": (lambda t, F: F.conv2d(t.ones(1, 3, 5, 5), t.ones(4, 2, 3, 3)), RuntimeError, 'Given groups=1, weight of size [4, 2, 3, 3], expected input[1, 3, 5, 5] to have 2 channels, but got 3 channels instead'),
    "conv2d with a kernel larger than the input": (lambda t, F: F.conv2d(t.ones(1, 1, 2, 2), t.ones(1, 1, 3, 3)), RuntimeError, 'Calculated padded input size per channel: (2 x 2)'),
    "conv2d of a vector": (lambda t, F: F.conv2d(t.ones(5), t.ones(1, 1, 3, 3)), RuntimeError, 'Expected 3D (unbatched) or 4D (batched) input to conv2d, but got input of size: [5]'),
    "conv2d with groups that do not divide": (lambda t, F: F.conv2d(t.ones(1, 3, 5, 5), t.ones(4, 1, 3, 3), groups=2), RuntimeError, 'Given groups=2, weight of size [4, 1, 3, 3], expected input[1, 3, 5, 5] to have 2 channels, but got 3 channels instead'),
    "conv2d with a bias that does not fit": (lambda t, F: F.conv2d(t.ones(1, 3, 5, 5), t.ones(4, 3, 3, 3), t.ones(5)), RuntimeError, 'Given weight of size [4, 3, 3, 3], expected bias to be 1-dimensional with 4 elements, but got bias of size [5] instead'),
    "conv2d with stride zero": (lambda t, F: F.conv2d(t.ones(1, 1, 5, 5), t.ones(1, 1, 3, 3), stride=0), RuntimeError, 'non-positive stride is not supported'),
    "conv2d with negative padding": (lambda t, F: F.conv2d(t.ones(1, 1, 5, 5), t.ones(1, 1, 3, 3), padding=-1), RuntimeError, 'negative padding is not supported'),
    "max_pool2d with a window larger than the input": (lambda t, F: F.max_pool2d(t.ones(1, 1, 2, 2), 3), RuntimeError, 'Output size is too small'),
    "max_pool2d with padding over half the window": (lambda t, F: F.max_pool2d(t.ones(1, 1, 5, 5), 2, padding=2), RuntimeError, 'pad should be at most half of effective kernel size, but got pad=2, kernel_size=2 and dilation=1'),
    "max_pool2d with stride zero": (lambda t, F: F.max_pool2d(t.ones(1, 1, 5, 5), 2, stride=0), RuntimeError, 'stride should not be zero'),
    "avg_pool2d with padding over half the window": (lambda t, F: F.avg_pool2d(t.ones(1, 1, 5, 5), 2, padding=3), RuntimeError, 'pad should be at most half of effective kernel size, but got pad=3, kernel_size=2 and dilation=1'),
    "batch_norm with one value per channel": (lambda t, F: F.batch_norm(t.ones(1, 3), None, None, training=True), ValueError, 'Size([1, 3])'),
    "batch_norm with a weight that does not fit": (lambda t, F: F.batch_norm(t.ones(2, 3), t.zeros(3), t.ones(3), t.ones(4)), RuntimeError, 'weight should contain 3 elements not 4'),
    "batch_norm in evaluation without statistics": (lambda t, F: F.batch_norm(t.ones(2, 3), None, None, training=False), RuntimeError, 'running_mean must be defined in evaluation mode'),
    "layer_norm with a shape that is not the input's end": (lambda t, F: F.layer_norm(t.ones(2, 3), (4,)), RuntimeError, 'Given normalized_shape=[4], expected input with shape [*, 4], but got input of size[2, 3]'),
    "group_norm with groups that do not divide": (lambda t, F: F.group_norm(t.ones(2, 5, 3), 2), RuntimeError, 'Expected number of channels in input to be divisible by num_groups, but got input of shape [2, 5, 3] and num_groups=2'),
    "cross_entropy with targets of another batch": (lambda t, F: F.cross_entropy(t.ones(4, 3), t.zeros(5, dtype=t.int64)), ValueError, 'Expected input batch_size (4) to match target batch_size (5).'),
    "cross_entropy with a class out of range": (lambda t, F: F.cross_entropy(t.ones(2, 3), t.tensor([0, 3])), IndexError, 'Target 3 is out of bounds.'),
    "cross_entropy with a negative class": (lambda t, F: F.cross_entropy(t.ones(2, 3), t.tensor([0, -1])), IndexError, 'Target -1 is out of bounds.'),
    "cross_entropy with a weight that does not fit": (lambda t, F: F.cross_entropy(t.ones(2, 3), t.tensor([0, 1]), weight=t.ones(4)), RuntimeError, 'weight tensor should be defined either for all 3 classes or no classes but got weight tensor of shape: [4]'),
    "cross_entropy with float class indices": (lambda t, F: F.cross_entropy(t.ones(2, 3), t.ones(2)), RuntimeError, 'expected target dtype to be Long or Byte, but got Float'),
    "cross_entropy with an unknown reduction": (lambda t, F: F.cross_entropy(t.ones(2, 3), t.tensor([0, 1]), reduction="max"), ValueError, 'max is not a valid value for reduction'),
    "mse_loss of shapes that do not broadcast": (lambda t, F: F.mse_loss(t.ones(2, 3), t.ones(2, 4)), RuntimeError, 'The size of tensor a (3) must match the size of tensor b (4) at non-singleton dimension 1'),
    "binary_cross_entropy out of the unit interval": (lambda t, F: F.binary_cross_entropy(t.tensor([1.5]), t.tensor([1.0])), RuntimeError, 'all elements of input should be between 0 and 1'),
    "binary_cross_entropy of different shapes": (lambda t, F: F.binary_cross_entropy(t.ones(3), t.ones(2)), ValueError, 'Size([2])) that is different to the input size'),
    "view with another number of elements": (lambda t, F: t.ones(2, 3).view(4), RuntimeError, "shape '[4]' is invalid for input of size 6"),
    "view of a layout it cannot describe": (lambda t, F: t.ones(2, 3).t().view(6), RuntimeError, "view size is not compatible with input tensor's size and stride (at least one dimension spans across two contiguous subspaces)"),
    "view with two inferred sizes": (lambda t, F: t.ones(2, 3).view(-1, -1), RuntimeError, 'only one dimension can be inferred'),
    "view with an invalid size": (lambda t, F: t.ones(2, 3).view(-2, 3), RuntimeError, 'invalid shape dimension -2 at index 0 of shape [-2, 3]'),
    "reshape with another number of elements": (lambda t, F: t.ones(2, 3).reshape(4, 2), RuntimeError, "shape '[4, 2]' is invalid for input of size 6"),
    "reshape that cannot infer for no elements": (lambda t, F: t.ones(0, 3).reshape(-1, 0), RuntimeError, 'cannot reshape tensor of 0 elements into shape [-1, 0] because the unspecified dimension size -1 can be any value and is ambiguous'),
    "permute with a repeated dimension": (lambda t, F: t.ones(2, 3).permute(0, 0), RuntimeError, 'permute(): duplicate dims are not allowed.'),
    "permute with too few dimensions": (lambda t, F: t.ones(2, 3).permute(0), RuntimeError, 'number of dimensions in the tensor input does not match the length of the desired ordering of dimensions'),
    "transpose out of range": (lambda t, F: t.ones(2, 3).transpose(0, 2), IndexError, 'Dimension out of range (expected to be in range of [-2, 1], but got 2)'),
    "t of three dimensions": (lambda t, F: t.ones(2, 3, 4).t(), RuntimeError, 't() expects a tensor with <= 2 dimensions, but self is 3D'),
    "expand of a size that is not one": (lambda t, F: t.ones(2, 3).expand(4, 3), RuntimeError, 'The expanded size of the tensor (4) must match the existing size (2) at non-singleton dimension 0'),
    "expand to fewer dimensions": (lambda t, F: t.ones(2, 3).expand(3), RuntimeError, 'the number of sizes provided (1) must be greater or equal to the number of dimensions in the tensor (2)'),
    "unsqueeze out of range": (lambda t, F: t.ones(2).unsqueeze(3), IndexError, 'Dimension out of range (expected to be in range of [-2, 1], but got 3)'),
    "flatten with dimensions in the wrong order": (lambda t, F: t.ones(2, 3, 4).flatten(2, 1), RuntimeError, 'flatten() has invalid args: start_dim cannot come after end_dim'),
    "narrow past the end": (lambda t, F: t.ones(5).narrow(0, 3, 4), RuntimeError, 'start (3) + length (4) exceeds dimension size (5).'),
    "narrow with a negative length": (lambda t, F: t.ones(5).narrow(0, 1, -1), RuntimeError, 'narrow(): length must be non-negative.'),
    "select out of range": (lambda t, F: t.ones(3).select(0, 3), IndexError, 'select(): index 3 out of range for tensor of size [3] at dimension 0'),
    "split into sizes that do not add up": (lambda t, F: t.ones(5).split([2, 2]), RuntimeError, "split_with_sizes expects split_sizes to sum exactly to 5 (input tensor's size at dimension 0), but got split_sizes=[2, 2]"),
    "split into size zero": (lambda t, F: t.ones(5).split(0), RuntimeError, 'split_size can only be 0 if dimension size is 0, but got dimension size of 5'),
    "chunk into none": (lambda t, F: t.ones(5).chunk(0), RuntimeError, 'chunk expects `chunks` to be greater than 0, got: 0'),
    "cat of nothing": (lambda t, F: t.cat([]), ValueError, 'expected a non-empty list of Tensors'),
    "cat of different shapes": (lambda t, F: t.cat([t.ones(2, 3), t.ones(2, 4)]), RuntimeError, 'Sizes of tensors must match except in dimension 0'),
    "cat of different numbers of dimensions": (lambda t, F: t.cat([t.ones(2, 3), t.ones(3)]), RuntimeError, 'Tensors must have same number of dimensions: got 2 and 1'),
    "cat of 0-dimensional tensors": (lambda t, F: t.cat([t.tensor(1.0), t.tensor(2.0)]), RuntimeError, 'zero-dimensional tensor (at position 0) cannot be concatenated'),
    "stack of different shapes": (lambda t, F: t.stack([t.ones(2), t.ones(3)]), RuntimeError, 'stack expects each tensor to be equal size, but got [2] at entry 0 and [3] at entry 1'),
    "stack of nothing": (lambda t, F: t.stack([]), RuntimeError, 'stack expects a non-empty TensorList'),
    "repeat with too few counts": (lambda t, F: t.ones(2, 3).repeat(2), RuntimeError, 'Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor'),
    "repeat with a negative count": (lambda t, F: t.ones(2).repeat(-1), RuntimeError, 'Trying to create tensor with negative dimension -2: [-2]'),
    "roll with shifts and dims of different length": (lambda t, F: t.ones(2, 3).roll((1, 2), 0), RuntimeError, 'shifts and dimensions must align. shifts: 2, dims:1'),
    "flip of a repeated dimension": (lambda t, F: t.ones(2, 3).flip((0, 0)), RuntimeError, 'dim 0 appears multiple times in the list of dims'),
    "tril of a vector": (lambda t, F: t.ones(3).tril(), RuntimeError, 'tril: input tensor must have at least 2 dimensions'),
    "diag of three dimensions": (lambda t, F: t.diag(t.ones(2, 2, 2)), RuntimeError, 'diag(): Supports 1D or 2D tensors. Got 3D'),
    "pad beyond the reflected size": (lambda t, F: F.pad(t.ones(1, 1, 3), (3, 0), mode="reflect"), RuntimeError, 'Argument #4: Padding size should be less than the corresponding input dimension, but got: padding (3, 0) at dimension 2 of input [1, 1, 3]'),
    "pad with an odd number of sizes": (lambda t, F: F.pad(t.ones(3), (1, 2, 3)), RuntimeError, 'Padding length must be divisible by 2'),
    # dimensions and indices
    "sum over a dimension out of range": (lambda t, F: t.ones(2, 3).sum(2), IndexError, 'Dimension out of range (expected to be in range of [-2, 1], but got 2)'),
    "sum over a dimension named twice": (lambda t, F: t.ones(2, 3).sum((0, 0)), RuntimeError, 'dim 0 appears multiple times in the list of dims'),
    "max of no elements": (lambda t, F: t.ones(0).max(), RuntimeError, 'max(): Expected reduction dim to be specified for input.numel() == 0'),
    "max over an empty dimension": (lambda t, F: t.ones(2, 0).max(1), IndexError, 'max(): Expected reduction dim 1 to have non-zero size.'),
    "argmax of no elements": (lambda t, F: t.ones(0).argmax(), IndexError, 'argmax(): Expected reduction dim to be specified for input.numel() == 0.'),
    "amax of no elements": (lambda t, F: t.ones(0).amax(), RuntimeError, 'amax(): Expected reduction dim to be specified for input.numel() == 0'),
    "softmax over a dimension out of range": (lambda t, F: t.softmax(t.ones(2, 3), 2), IndexError, 'Dimension out of range (expected to be in range of [-2, 1], but got 2)'),
    "cumsum over a dimension out of range": (lambda t, F: t.cumsum(t.ones(2), 1), IndexError, 'Dimension out of range (expected to be in range of [-1, 0], but got 1)'),
    "topk beyond the size": (lambda t, F: t.ones(3).topk(4), RuntimeError, 'selected index k out of range'),
    "sort over a dimension out of range": (lambda t, F: t.ones(3).sort(1), IndexError, 'Dimension out of range (expected to be in range of [-1, 0], but got 1)'),
    "index out of range": (lambda t, F: t.ones(3)[3], IndexError, 'index 3 is out of bounds for dimension 0 with size 3'),
    "index out of range in the second dimension": (lambda t, F: t.ones(3, 2)[0, -3], IndexError, 'index -3 is out of bounds for dimension 1 with size 2'),
    "too many indices": (lambda t, F: t.ones(3)[0, 0], IndexError, 'too many indices for tensor of dimension 1'),
    "index of a 0-dimensional tensor": (lambda t, F: t.tensor(1.0)[0], IndexError, 'invalid index of a 0-dim tensor'),
    "index tensor out of range": (lambda t, F: t.ones(3)[t.tensor([0, 5])], IndexError, 'index 5 is out of bounds for dimension 0 with size 3'),
    "index of floats": (lambda t, F: t.ones(3)[t.tensor([0.5])], IndexError, 'tensors used as indices must be long, int, byte or bool tensors'),
    "index by a text": (lambda t, F: t.ones(3)["a"], TypeError, "'str'"),
    "mask of another shape": (lambda t, F: t.ones(3)[t.tensor([True, False])], IndexError, 'The shape of the mask [2] at index 0 does not match the shape of the indexed tensor [3] at index 0'),
    "index tensors that do not broadcast": (lambda t, F: t.ones(3, 3)[t.tensor([0, 1]), t.tensor([0, 1, 2])], IndexError, 'shape mismatch: indexing tensors could not be broadcast together with shapes [2], [3]'),
    "slice with step zero": (lambda t, F: t.ones(3)[::0], ValueError, 'slice step cannot be zero'),
    "slice with a negative step": (lambda t, F: t.ones(3)[::-1], ValueError, 'step must be greater than zero'),
    "assign a shape that does not fit": (lambda t, F: t.ones(3).__setitem__(slice(0, 2), t.ones(3)), RuntimeError, 'The expanded size of the tensor (2) must match the existing size (3) at non-singleton dimension 0'),
    "assign out of range": (lambda t, F: t.ones(3).__setitem__(5, 1.0), IndexError, 'index 5 is out of bounds for dimension 0 with size 3'),
    "gather with an index of another rank": (lambda t, F: t.gather(t.ones(2, 3), 0, t.tensor([0])), RuntimeError, 'Index tensor must have the same number of dimensions as input tensor'),
    "gather out of range": (lambda t, F: t.gather(t.ones(2, 3), 0, t.tensor([[2]])), RuntimeError, 'index 2 is out of bounds for dimension 0 with size 2'),
    "gather with float indices": (lambda t, F: t.gather(t.ones(2, 3), 0, t.tensor([[0.0]])), RuntimeError, 'gather(): Expected dtype int32/int64 for index'),
    "scatter out of range": (lambda t, F: t.zeros(3).scatter(0, t.tensor([3]), 1.0), RuntimeError, 'index 3 is out of bounds for dimension 0 with size 3'),
    "scatter_add with another dtype": (lambda t, F: t.zeros(3).scatter_add(0, t.tensor([1]), t.ones(1, dtype=t.float64)), RuntimeError, 'scatter(): Expected self.dtype to be equal to src.dtype'),
    "index_select out of range": (lambda t, F: t.index_select(t.ones(3), 0, t.tensor([3])), IndexError, 'index out of range in self'),
    "index_select with a matrix of indices": (lambda t, F: t.index_select(t.ones(3), 0, t.tensor([[0]])), IndexError, 'index_select(): Index is supposed to be a vector'),
    "index_add with sizes that differ": (lambda t, F: t.zeros(3, 2).index_add(0, t.tensor([0]), t.ones(2, 2)), RuntimeError, 'index_add_(): Number of indices (1) should be equal to source.size(dim): (2), for dim: 0'),
    "masked_fill with a mask that is no bool": (lambda t, F: t.ones(3).masked_fill(t.tensor([1, 0, 1]), 0.0), RuntimeError, 'masked_fill_ only supports boolean masks, but got mask with dtype'),
    "masked_select with a mask that does not broadcast": (lambda t, F: t.masked_select(t.ones(3), t.tensor([True, False])), RuntimeError, 'The size of tensor a (2) must match the size of tensor b (3) at non-singleton dimension 0'),
    "take_along_dim with float indices": (lambda t, F: t.take_along_dim(t.ones(3), t.tensor([0.0]), 0), RuntimeError, 'dtype of indices should be Long but got Float'),
    "embedding out of range": (lambda t, F: F.embedding(t.tensor([4]), t.ones(3, 2)), IndexError, 'index out of range in self'),
    "embedding with float indices": (lambda t, F: F.embedding(t.tensor([1.0]), t.ones(3, 2)), RuntimeError, 'to have one of the following scalar types: Long, Int; but got'),
    "embedding with a padding_idx out of range": (lambda t, F: F.embedding(t.tensor([1]), t.ones(3, 2), padding_idx=5), AssertionError, 'Padding_idx must be within num_embeddings'),
    "one_hot of negative numbers": (lambda t, F: F.one_hot(t.tensor([-1])), RuntimeError, 'Class values must be non-negative.'),
    "one_hot with too few classes": (lambda t, F: F.one_hot(t.tensor([3]), 2), RuntimeError, 'Class values must be smaller than num_classes.'),
    "one_hot of floats": (lambda t, F: F.one_hot(t.tensor([1.0])), RuntimeError, 'one_hot is only applicable to index tensor of type LongTensor.'),
    # dtypes
    "matmul of different dtypes": (lambda t, F: t.ones(2, 2) @ t.ones(2, 2, dtype=t.float64), RuntimeError, 'same dtype, but got'),
    "in-place add of a float to integers": (lambda t, F: t.ones(2, dtype=t.int64).add_(1.5), RuntimeError, "result type Float can't be cast to the desired output type Long"),
    "in-place division of integers": (lambda t, F: t.ones(2, dtype=t.int64).div_(2), RuntimeError, "result type Float can't be cast to the desired output type Long"),
    "out of a dtype that cannot hold the result": (lambda t, F: t.add(t.ones(2), t.ones(2), out=t.ones(2, dtype=t.int64)), RuntimeError, "result type Float can't be cast to the desired output type Long"),
    "bitwise_and of floats": (lambda t, F: t.ones(2) & t.ones(2), NotImplementedError, "not implemented for 'Float'"),
    "bitwise_not of floats": (lambda t, F: ~t.ones(2), TypeError, '~ (operator.invert) is only implemented on integer and Boolean-type tensors'),
    "minus of bools": (lambda t, F: -t.tensor([True]), RuntimeError, 'Negation, the `-` operator, on a bool tensor is not supported'),
    "subtraction of a bool": (lambda t, F: t.ones(2) - True, RuntimeError, 'Subtraction, the `-` operator, with a bool tensor is not supported'),
    "subtraction of bools": (lambda t, F: t.tensor([True]) - t.tensor([False]), RuntimeError, 'Subtraction, the `-` operator, with two bool tensors is not supported'),
    "mean of integers": (lambda t, F: t.tensor([1, 2]).mean(), RuntimeError, 'Input dtype must be either a floating point or complex dtype. Got: Long'),
    "softmax of integers": (lambda t, F: t.softmax(t.tensor([1, 2]), 0), NotImplementedError, "not implemented for 'Long'"),
    "var of integers": (lambda t, F: t.tensor([1, 2]).var(), RuntimeError, 'std and var only support floating point and complex dtypes'),
    "gradient of integers": (lambda t, F: t.tensor([1], requires_grad=True), RuntimeError, 'Only Tensors of floating point and complex dtype can require gradients'),
    "requires_grad_ on integers": (lambda t, F: t.tensor([1]).requires_grad_(), RuntimeError, 'only Tensors of floating point dtype can require gradients'),
    "conv2d of different dtypes": (lambda t, F: F.conv2d(t.ones(1, 1, 5, 5), t.ones(1, 1, 3, 3, dtype=t.float64)), RuntimeError, 'type'),
    "linear of integers and floats": (lambda t, F: F.linear(t.ones(2, 3, dtype=t.int64), t.ones(4, 3)), RuntimeError, 'same dtype, but got'),
    "where with a condition of floats": (lambda t, F: t.where(t.ones(2), t.ones(2), t.ones(2)), RuntimeError, 'where expected condition to be a boolean tensor, but got a tensor with dtype Float'),
    "integer power of a negative integer": (lambda t, F: t.tensor([2]) ** -1, RuntimeError, 'Integers to negative integer powers are not allowed.'),
    "integer division by zero": (lambda t, F: t.tensor([1]) // t.tensor([0]), RuntimeError, 'ZeroDivisionError'),
    "integer remainder by zero": (lambda t, F: t.tensor([1]) % 0, RuntimeError, 'ZeroDivisionError'),
    "shift of floats": (lambda t, F: t.ones(2) << 1, NotImplementedError, "not implemented for 'Float'"),
    "tensor of mixed depths": (lambda t, F: t.tensor([[1], [2, 3]]), ValueError, 'expected sequence of length 1 at dim 1 (got 2)'),
    "tensor of a text": (lambda t, F: t.tensor("a"), TypeError, "'str'"),
    "tensor of an object": (lambda t, F: t.tensor(object()), RuntimeError, 'Could not infer dtype of object'),
    "tensor of None": (lambda t, F: t.tensor([None]), RuntimeError, 'Could not infer dtype of NoneType'),
    "tensor of an integer too large": (lambda t, F: t.tensor(2**64), ValueError, 'Overflow when unpacking long long'),
    "full of an integer the dtype cannot hold": (lambda t, F: t.full((2,), 300, dtype=t.uint8), RuntimeError, 'without overflow'),
    "dtype that is none": (lambda t, F: t.zeros(2, dtype="float32"), TypeError, "zeros(): argument 'dtype' must be"),
    "arange with step zero": (lambda t, F: t.arange(0, 5, 0), RuntimeError, 'step must be nonzero'),
    "arange with bounds against the step": (lambda t, F: t.arange(5, 0, 1), RuntimeError, 'upper bound and lower bound inconsistent with step sign'),
    "linspace with negative steps": (lambda t, F: t.linspace(0, 1, -1), RuntimeError, 'number of steps must be non-negative'),
    "clamp without bounds": (lambda t, F: t.ones(2).clamp(), RuntimeError, "At least one of 'min' or 'max' must not be None"),
    "div with an unknown rounding mode": (lambda t, F: t.div(t.ones(2), 2, rounding_mode="up"), RuntimeError, "div expected rounding_mode to be one of None, 'trunc', or 'floor' but found 'up'"),
    "gelu with an unknown approximation": (lambda t, F: F.gelu(t.ones(2), approximate="erf"), RuntimeError, 'approximate argument must be either none or tanh.'),
    # sizes
    "zeros of a negative size": (lambda t, F: t.zeros(-1), RuntimeError, 'negative'),
    "zeros of an absurd size": (lambda t, F: t.zeros(10**15), RuntimeError, 'you tried to allocate 4000000000000000 bytes'),
    "zeros of a size past all integers": (lambda t, F: t.zeros(2**63 - 1, 2**63 - 1), RuntimeError, 'Storage size calculation overflowed with sizes=[9223372036854775807, 9223372036854775807]'),
    "zeros of a size that is no integer": (lambda t, F: t.zeros(1.5), TypeError, "zeros(): argument 'size' (position 1) must be tuple of ints, not float"),
    "zeros of a NaN size": (lambda t, F: t.zeros(float("nan")), TypeError, "zeros(): argument 'size' (position 1) must be tuple of ints, not float"),
    "zeros of a text": (lambda t, F: t.zeros("3"), TypeError, "zeros(): argument 'size' (position 1) must be tuple of ints, not str"),
    "empty of an absurd size": (lambda t, F: t.empty(10**9, 10**9), RuntimeError, 'you tried to allocate 4000000000000000000 bytes'),
    "full with a shape of floats": (lambda t, F: t.full((2.0,), 1), TypeError, "full(): argument 'size' (position 1) must be tuple of ints, but found element of type float at pos 0"),
    "arange to infinity": (lambda t, F: t.arange(float("inf")), RuntimeError, 'unsupported range: 0 -> inf'),
    "arange to NaN": (lambda t, F: t.arange(float("nan")), RuntimeError, 'unsupported range: 0 -> nan'),
    "eye of a negative size": (lambda t, F: t.eye(-1), RuntimeError, 'n must be greater or equal to 0, got -1'),
    "reshape to floats": (lambda t, F: t.ones(4).reshape(2.0, 2.0), TypeError, 'reshape()'),
    "repeat_interleave of a negative count": (lambda t, F: t.ones(2).repeat_interleave(-1), RuntimeError, 'Repeats must be non-negative'),
    "random_ from below the dtype's range": (lambda t, F: t.empty(2, dtype=t.int8).random_(-200, 3), RuntimeError, 'from is out of bounds for signed char'),
    "random_ up to above the dtype's range": (lambda t, F: t.empty(2, dtype=t.uint8).random_(0, 300), RuntimeError, 'to - 1 is out of bounds for unsigned char'),
    "randint above the dtype's range": (lambda t, F: t.randint(0, 3, (2,), dtype=t.bool), RuntimeError, 'to - 1 is out of bounds for bool'),
    "H of a batch": (lambda t, F: t.ones(2, 3, 4).H, RuntimeError, 'tensor.H is only supported on matrices (2-D tensors). Got 3-D tensor.'),
    "lerp of two dtypes": (lambda t, F: t.lerp(t.ones(2), t.ones(2, dtype=t.float64), 0.5), RuntimeError, 'expected dtype float for `end` but got dtype double'),
    "lerp with a weight of another dtype": (lambda t, F: t.ones(2).lerp_(t.ones(2), t.ones(2, dtype=t.int64)), RuntimeError, 'expected dtype float for `weight` but got dtype long int'),
    "lerp of integers": (lambda t, F: t.lerp(t.tensor([1]), t.tensor([2]), 0.5), NotImplementedError, '"lerp_kernel_scalar" not implemented for \'Long\''),
    "nextafter of integers": (lambda t, F: t.nextafter(t.tensor([1]), t.tensor([2])), NotImplementedError, "not implemented for 'Long'"),
    "shapes that are none": (lambda t, F: t.broadcast_shapes(1.5), RuntimeError, 'Input shapes should be of type ints, a tuple of ints, or a list of ints, got 1.5'),
    "unfold of images without channels": (lambda t, F: F.unfold(t.ones(2, 0, 4, 4), 2), RuntimeError, 'Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero dimensions for input, but got: [2, 0, 4, 4]'),
    "normal with a negative spread": (lambda t, F: t.normal(t.ones(2), t.tensor([-1.0, 1.0])), RuntimeError, 'normal expects all elements of std >= 0.0'),
    "cdist of rows of two lengths": (lambda t, F: t.cdist(t.ones(2, 2), t.ones(2, 3)), RuntimeError, 'X1 and X2 must have the same number of columns. X1: 2 X2: 3'),
    "deterministic algorithms by a number": (lambda t, F: t.use_deterministic_algorithms(1), TypeError, 'must be bool, not int'),
    "rrelu with bounds the wrong way round": (lambda t, F: F.rrelu(t.ones(1), 0.5, 0.1), RuntimeError, 'Lower bound should be less than or equal to the upper bound'),
    "resize_ past the address space": (lambda t, F: t.empty(0).resize_([2, 4, 2**29, 2**30]), RuntimeError, 'Storage size calculation overflowed with sizes=[2, 4, 536870912, 1073741824]'),
    "randint with bounds that are empty": (lambda t, F: t.randint(5, 5, (2,)), RuntimeError, "random_ expects 'from' to be less than 'to', but got from=5 >= to=5"),
    "randperm of a negative size": (lambda t, F: t.randperm(-1), RuntimeError, 'Trying to create tensor with negative dimension -1: [-1]'),
    "multinomial of more than there are": (lambda t, F: t.multinomial(t.ones(3), 4), RuntimeError, 'cannot sample n_sample > prob_dist.size(-1) samples without replacement'),
    "multinomial of negative weights": (lambda t, F: t.multinomial(t.tensor([-1.0, 2.0]), 1), RuntimeError, 'probability tensor contains either `inf`, `nan` or element < 0'),
    "normal with a negative deviation": (lambda t, F: t.normal(0.0, -1.0, (2,)), RuntimeError, 'normal expects std >= 0.0, but found std -1'),
    "bernoulli out of the unit interval": (lambda t, F: t.bernoulli(t.tensor([1.5])), RuntimeError, 'p_in >= 0 && p_in <= 1'),
    "dropout out of the unit interval": (lambda t, F: F.dropout(t.ones(2), 1.5), ValueError, 'dropout probability has to be between 0 and 1, but got 1.5'),
    # devices
    "device that does not exist": (lambda t, F: t.zeros(2, device="nonsense"), RuntimeError, 'nonsense'),
    "device with a bad index": (lambda t, F: t.device("cpu:x"), RuntimeError, "Invalid device string: 'cpu:x'"),
    "add across devices": (lambda t, F: t.ones(2) + t.ones(2, device="meta"), RuntimeError, 'meta is not on the expected device cpu'),
    "item of a meta tensor": (lambda t, F: t.ones(1, device="meta").item(), RuntimeError, 'Tensor.item() cannot be called on meta tensors'),
    "numpy of a meta tensor": (lambda t, F: t.ones(1, device="meta").numpy(), TypeError, "can't convert meta device type tensor to numpy"),
    # overlaps and layouts
    "in-place write to an expanded tensor": (lambda t, F: t.ones(1).expand(3).add_(1), RuntimeError, 'unsupported operation: more than one element of the written-to tensor refers to a single memory location'),
    "in-place write that overlaps its input": (lambda t, F: (lambda x: x[1:].add_(x[:-1]))(t.arange(5.0)), RuntimeError, 'unsupported operation: some elements of the input tensor and the written-to tensor refer to a single memory location'),
    "out that overlaps the input partly": (lambda t, F: (lambda x: t.exp(x[:-1], out=x[1:]))(t.arange(5.0)), RuntimeError, 'unsupported operation: some elements of the input tensor and the written-to tensor refer to a single memory location'),
    "out that is expanded": (lambda t, F: t.add(t.ones(3), 1, out=t.ones(1).expand(3)), RuntimeError, 'unsupported operation: more than one element of the written-to tensor refers to a single memory location'),
    "copy into an expanded tensor": (lambda t, F: t.ones(1).expand(3).copy_(t.ones(3)), RuntimeError, 'unsupported operation: more than one element of the written-to tensor refers to a single memory location'),
    "out of a tensor that requires gradients": (lambda t, F: t.exp(t.ones(2), out=t.ones(2, requires_grad=True)), RuntimeError, 'exp(): functions with out=..'),
    # autograd
    "in-place on a leaf that requires gradients": (lambda t, F: t.ones(2, requires_grad=True).add_(1), RuntimeError, 'a leaf Variable that requires grad is being used in an in-place operation.'),
    "in-place on a view of a leaf": (lambda t, F: t.ones(2, requires_grad=True)[0].mul_(2), RuntimeError, 'a view of a leaf Variable that requires grad is being used in an in-place operation.'),
    "backward from several numbers": (lambda t, F: t.ones(2, requires_grad=True).mul(2).backward(), RuntimeError, 'grad can be implicitly created only for scalar outputs'),
    "backward without gradients": (lambda t, F: t.ones(1).backward(), RuntimeError, 'element 0 of tensors does not require grad and does not have a grad_fn'),
    "backward with a gradient of another shape": (lambda t, F: t.ones(2, requires_grad=True).mul(2).backward(t.ones(3)), RuntimeError, 'Mismatch in shape: grad_output[0] has a shape of'),
    "backward twice without retain": (lambda t, F: (lambda y: (y.backward(), y.backward()))(t.ones(1, requires_grad=True).exp()), RuntimeError, 'Trying to backward through the graph a second time (or directly access saved tensors after they have already been freed)'),
    "backward of a changed saved output": (lambda t, F: (lambda y: (y.add_(1), y.sum().backward()))(t.ones(2, requires_grad=True).exp()), RuntimeError, 'which is output 0 of Exp'),
    "backward of a changed saved input": (lambda t, F: (lambda w, x: ((w * x).sum(), x.add_(1))[0].backward())(t.ones(2, requires_grad=True), t.ones(2)), RuntimeError, 'is at version 1; expected version 0 instead'),
    "gradient of something unused": (lambda t, F: t.autograd.grad(t.ones(1, requires_grad=True).exp(), t.ones(1, requires_grad=True)), RuntimeError, 'appears to not have been used in the graph'),
    "gradient for a tensor that requires none": (lambda t, F: (lambda x: t.autograd.grad(t.ones(1, requires_grad=True) * x, x))(t.ones(1)), RuntimeError, 'One of the differentiated Tensors does not require grad'),
    "requires_grad off on a result": (lambda t, F: t.ones(1, requires_grad=True).exp().requires_grad_(False), RuntimeError, 'you can only change requires_grad flags of leaf variables'),
    "numpy of a tensor that requires gradients": (lambda t, F: t.ones(2, requires_grad=True).numpy(), RuntimeError, "Can't call numpy() on Tensor that requires grad"),
    "gradient of another shape assigned": (lambda t, F: setattr(t.ones(2), "grad", t.ones(3)), RuntimeError, "attempting to assign a gradient of size '[3]' to a tensor of size '[2]'"),
    "gradient that is no tensor": (lambda t, F: setattr(t.ones(2), "grad", 1.0), TypeError, 'assigned grad expected to be a Tensor or None but got grad of type float'),
    "deepcopy of a result with history": (lambda t, F: copy.deepcopy(t.ones(2, requires_grad=True).exp()), RuntimeError, 'Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment'),
    "retain_grad without gradients": (lambda t, F: t.ones(2).retain_grad(), RuntimeError, "can't retain_grad on Tensor that has requires_grad=False"),
    "hook on a tensor without gradients": (lambda t, F: t.ones(2).register_hook(lambda g: g), RuntimeError, "cannot register a hook on a tensor that doesn't require gradient"),
    # not tensors
    "add of a text": (lambda t, F: t.add(t.ones(2), "a"), TypeError, "add(): argument 'other' (position 2) must be Tensor, not str"),
    "add of None": (lambda t, F: t.ones(2) + None, TypeError, "Tensor' and 'NoneType'"),
    "exp of a number": (lambda t, F: t.exp(1.0), TypeError, "exp(): argument 'input' (position 1) must be Tensor, not float"),
    "exp of a list": (lambda t, F: t.exp([1.0]), TypeError, "exp(): argument 'input' (position 1) must be Tensor, not list"),
    "matmul with a list": (lambda t, F: t.ones(2, 2) @ [1, 2], TypeError, "Tensor' and 'list'"),
    "cat of numbers": (lambda t, F: t.cat([1, 2]), TypeError, 'expected Tensor as element 0 in argument 0, but got int'),
    "relu of a text": (lambda t, F: F.relu("a"), TypeError, "relu(): argument 'input' (position 1) must be Tensor, not str"),
    "linear of None": (lambda t, F: F.linear(None, t.ones(2, 2)), TypeError, "linear(): argument 'input' (position 1) must be Tensor, not NoneType"),
    "sum with a dimension that is a text": (lambda t, F: t.ones(2).sum("a"), TypeError, 'sum()'),
    "unknown keyword": (lambda t, F: t.sum(t.ones(2), axes=0), TypeError, 'sum()'),
    "too many arguments": (lambda t, F: t.exp(t.ones(2), 1, 2), TypeError, 'exp()'),
    "too few arguments": (lambda t, F: t.add(t.ones(2)), TypeError, 'add()'),
    "item of several numbers": (lambda t, F: t.ones(2).item(), RuntimeError, 'a Tensor with 2 elements cannot be converted to Scalar'),
    "bool of several numbers": (lambda t, F: bool(t.ones(2)), RuntimeError, 'Boolean value of Tensor with more than one value is ambiguous'),
    "bool of no number": (lambda t, F: bool(t.ones(0)), RuntimeError, 'Boolean value of Tensor with no values is ambiguous'),
    "int of several numbers": (lambda t, F: int(t.ones(2)), ValueError, 'only one element tensors can be converted to Python scalars'),
    "float of several numbers": (lambda t, F: float(t.ones(2)), ValueError, 'only one element tensors can be converted to Python scalars'),
    "len of a 0-dimensional tensor": (lambda t, F: len(t.tensor(1.0)), TypeError, 'len() of a 0-d tensor'),
    "iteration over a 0-dimensional tensor": (lambda t, F: list(t.tensor(1.0)), TypeError, 'iteration over a 0-d tensor'),
    "index by a float number": (lambda t, F: [1, 2, 3][t.tensor(1.5)], TypeError, 'only integer tensors of a single element can be converted to an index'),
    "attribute that does not exist": (lambda t, F: t.ones(2).nonsense, AttributeError, "Tensor' object has no attribute 'nonsense'"),
    "from_numpy of a list": (lambda t, F: t.from_numpy([1.0]), TypeError, 'expected np.ndarray (got list)'),
    "from_numpy of texts": (lambda t, F: t.from_numpy(np.array(["a"])), TypeError, "can't convert np.ndarray of type numpy.str_"),
    "manual_seed of a text": (lambda t, F: t.manual_seed("a"), ValueError, "invalid literal for int() with base 10: 'a'"),
    "set_num_threads of zero": (lambda t, F: t.set_num_threads(0), RuntimeError, 'set_num_threads expects a positive integer'),
}


def raised(call: Any, module: Any) -> BaseException | None:
    try:
        call(module, module.nn.functional)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a panic is no Exception
        return error
    return None


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.filterwarnings("ignore")
def test_bad_input_raises_pytorchs_class_and_text(name: str) -> None:
    call, expected, text = CALLS[name]
    error = raised(call, rustnn)
    assert error is not None, "no exception"
    assert isinstance(error, expected), f"{type(error).__name__}: {error}"
    assert text in str(error), f"message {str(error)!r}, expected {text!r} in it"


def test_the_table_has_at_least_eighty_calls() -> None:
    assert len(CALLS) >= 80


def test_a_failed_call_leaves_its_tensors_as_they_were() -> None:
    x = rustnn.arange(6.0).reshape(2, 3)
    before, version = x.tolist(), x._version
    for call in (lambda: x.add_(rustnn.ones(4)), lambda: x.copy_(rustnn.ones(7)), lambda: x.index_fill_(0, rustnn.tensor([5]), 1.0)):
        with pytest.raises((RuntimeError, IndexError)):
            call()
    assert x.tolist() == before and x.shape == (2, 3) and x._version == version


def test_the_process_survives_the_whole_table_in_one_run() -> None:
    """One bad call must not poison the next: all of them in one process, twice, then a right one."""
    code = (
        "import rustnn, test_bad_input as table\n"
        "for call, expected, _ in [*table.CALLS.values()] * 2:\n"
        "    assert isinstance(table.raised(call, rustnn), Exception)\n"
        "assert (rustnn.ones(3) + 1).tolist() == [2.0, 2.0, 2.0]\n"
    )
    result = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=__file__.rsplit("/", 1)[0], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-2000:]
    assert "panicked" not in result.stderr, result.stderr[-2000:]


@pytest.mark.parametrize("call", ["x[i]", "x.scatter(0, i, 1.0)", "x.gather(0, i)", "x.index_select(0, i)"])
def test_an_index_without_data_is_refused_where_pytorch_reads_what_is_not_there(call):
    names = {"x": rustnn.ones(3), "i": rustnn.tensor([0, 1], device="meta")}
    with pytest.raises(RuntimeError, match="on the same device"):
        eval(call, names)
