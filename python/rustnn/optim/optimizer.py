"""What every optimizer shares: parameter groups, state, hooks and the state-dict format."""

import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Iterable
from copy import deepcopy
from functools import wraps
from itertools import chain

from .. import _core
from ..autograd.grad_mode import set_grad_enabled
from ..utils.hooks import RemovableHandle

__all__ = ["Optimizer", "register_optimizer_step_post_hook", "register_optimizer_step_pre_hook"]

Tensor = _core.Tensor
ParamsT = Iterable  # of parameters, of pairs of names and parameters, or of groups
_params_t = ParamsT

_global_optimizer_pre_hooks = OrderedDict()
_global_optimizer_post_hooks = OrderedDict()


class _Required:
    """The default of an option that every parameter group must give itself."""

    def __repr__(self):
        return "<required parameter>"


required = _Required()


def _add_hook(registry, hook, prepend=False):
    handle = RemovableHandle(registry)
    registry[handle.id] = hook
    if prepend:
        registry.move_to_end(handle.id, last=False)
    return handle


def register_optimizer_step_pre_hook(hook):
    """Call ``hook(optimizer, args, kwargs)`` before every step of every optimizer; a returned pair replaces args,
    kwargs."""
    return _add_hook(_global_optimizer_pre_hooks, hook)


def register_optimizer_step_post_hook(hook):
    """Call ``hook(optimizer, args, kwargs)`` after every step of every optimizer."""
    return _add_hook(_global_optimizer_post_hooks, hook)


def _type_name(value):
    if isinstance(value, Tensor):
        return value.type()
    kind = value if isinstance(value, type) else type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _to_scalar(value):
    """A one-element tensor of any rank as a 0-dim tensor; anything else as it is."""
    return value.squeeze() if isinstance(value, Tensor) and value.dim() != 0 else value


def _use_grad_for_differentiable(step):
    """Run ``step`` with gradients recorded only if the optimizer is differentiable (for optimizers written in tensor
    ops)."""

    @wraps(step)
    def step_in_grad_mode(self, *args, **kwargs):
        with set_grad_enabled(self.defaults["differentiable"]):
            return step(self, *args, **kwargs)

    return step_in_grad_mode


def _get_value(x):
    """A step count or rate as a number."""
    return x.item() if isinstance(x, Tensor) else x


def _default_to_fused_or_foreach(params, differentiable, use_fused=False):
    """(fused, foreach) where neither is asked for: optimizers written elsewhere run their plain loop."""
    return False, False


def _get_capturable_supported_devices(supports_xla=True):
    """The devices on which steps are captured in graphs: none."""
    return []


def _check_fused(parameter):
    """``fused=True`` is a promise of torch's API about dtype and device; every step here is one native call anyway."""
    if not parameter.is_floating_point():
        raise RuntimeError(f"`fused=True` requires all the params to be floating point Tensors but {parameter.dtype}")


def _check_fused_options(fused, foreach, differentiable):
    if fused and differentiable:
        raise RuntimeError("`fused` does not support `differentiable`")
    if fused and foreach:
        raise RuntimeError("`fused` and `foreach` cannot be `True` together.")


class Optimizer:
    """Base class of all optimizers.

    Args:
        params: an ordered iterable of tensors, of ``(name, tensor)`` pairs, or of dicts (parameter groups), each with
            the key ``"params"`` and options of its own.
        defaults: options a group takes when it does not give its own.

    Attributes:
        param_groups: list of dicts; change a group's ``"lr"`` and the next step uses it.
        state: ``state[parameter]`` is a dict of what the optimizer remembers about a parameter.

    Raises: TypeError for a bare tensor or a set; ValueError for no parameters, non-leaf or repeated ones.
    """

    def __init__(self, params, defaults):
        self.defaults = defaults
        self._init_hooks()
        self._hook_step()
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be "
                "an iterable of Tensors or dicts, but got " + _type_name(params)
            )
        self.state = defaultdict(dict)
        self.param_groups = []
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def _init_hooks(self):
        for name in _HOOK_REGISTRIES:
            self.__dict__.setdefault(name, OrderedDict())

    def _hook_step(self):
        cls = type(self)
        if not getattr(cls.step, "hooked", False):
            cls.step = self.profile_hook_step(cls.step)
            cls.step.hooked = True

    @staticmethod
    def profile_hook_step(step):
        """Wrap a class's ``step`` so that it calls the step hooks and notes for the schedulers that a step was made."""

        @wraps(step)
        def hooked_step(self, *args, **kwargs):
            self._opt_called = True
            before, after = self._optimizer_step_pre_hooks, self._optimizer_step_post_hooks
            if not (before or after or _global_optimizer_pre_hooks or _global_optimizer_post_hooks):
                return step(self, *args, **kwargs)
            args = (self, *args)  # hooks see, and may replace, the arguments with the optimizer in front
            for hook in chain(_global_optimizer_pre_hooks.values(), before.values()):
                result = hook(self, args, kwargs)
                if result is not None:
                    if not (isinstance(result, tuple) and len(result) == 2):
                        raise RuntimeError(
                            f"{step} must return None or a tuple of (new_args, new_kwargs), but got {result}."
                        )
                    args, kwargs = result
            loss = step(*args, **kwargs)
            for hook in chain(after.values(), _global_optimizer_post_hooks.values()):
                hook(self, args, kwargs)
            return loss

        hooked_step._wrapped_by_lr_sched = True
        return hooked_step

    def __getstate__(self):
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state):
        self.__dict__.update(state)
        self._init_hooks()
        self._hook_step()
        self.defaults.setdefault("differentiable", False)

    def __repr__(self):
        lines = []
        for index, group in enumerate(self.param_groups):
            lines += ["" if lines else f"{type(self).__name__} (", f"Parameter Group {index}"]
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return "\n".join(lines) + "\n)"

    def register_step_pre_hook(self, hook):
        """Call ``hook(optimizer, args, kwargs)`` before each step; a returned pair replaces ``args, kwargs``."""
        return _add_hook(self._optimizer_step_pre_hooks, hook)

    def register_step_post_hook(self, hook):
        """Call ``hook(optimizer, args, kwargs)`` after each step."""
        return _add_hook(self._optimizer_step_post_hooks, hook)

    def register_state_dict_pre_hook(self, hook, prepend=False):
        """Call ``hook(optimizer)`` before :meth:`state_dict` collects."""
        return _add_hook(self._optimizer_state_dict_pre_hooks, hook, prepend)

    def register_state_dict_post_hook(self, hook, prepend=False):
        """Call ``hook(optimizer, state_dict)`` on the collected dict; what it returns, if anything, replaces it."""
        return _add_hook(self._optimizer_state_dict_post_hooks, hook, prepend)

    def register_load_state_dict_pre_hook(self, hook, prepend=False):
        """Call ``hook(optimizer, state_dict)`` on a shallow copy before loading; what it returns, if anything, is
        loaded."""
        return _add_hook(self._optimizer_load_state_dict_pre_hooks, hook, prepend)

    def register_load_state_dict_post_hook(self, hook, prepend=False):
        """Call ``hook(optimizer)`` after :meth:`load_state_dict`."""
        return _add_hook(self._optimizer_load_state_dict_post_hooks, hook, prepend)

    def state_dict(self):
        """Options and state as plain data: parameters are numbered in order, state is keyed by that number.

        Tensors are the optimizer's own, not copies. PyTorch reads the result and writes the same.
        """
        for hook in self._optimizer_state_dict_pre_hooks.values():
            hook(self)
        number_of = {}
        packed_groups = []
        start = 0
        for group in self.param_groups:
            for number, parameter in enumerate(group["params"], start):
                number_of.setdefault(id(parameter), number)
            start += len(group["params"])
            packed = {key: value for key, value in group.items() if key != "params"}
            packed["params"] = [number_of[id(parameter)] for parameter in group["params"]]
            packed_groups.append(packed)
        packed_state = {number_of[id(k)] if isinstance(k, Tensor) else k: v for k, v in self.state.items()}
        state_dict = {"state": packed_state, "param_groups": packed_groups}
        for hook in self._optimizer_state_dict_post_hooks.values():
            replaced = hook(self, state_dict)
            if replaced is not None:
                state_dict = replaced
        return state_dict

    def load_state_dict(self, state_dict):
        """Take over options and state from :meth:`state_dict`, matched by position; floating state follows its
        parameter's dtype.

        Raises: ValueError if the number of groups, or of parameters in a group, differs.
        """
        state_dict = state_dict.copy()
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            replaced = hook(self, state_dict)
            if replaced is not None:
                state_dict = replaced

        groups, loaded_groups = self.param_groups, deepcopy(state_dict["param_groups"])
        if len(groups) != len(loaded_groups):
            raise ValueError("loaded state dict has a different number of parameter groups")
        if any(
            len(group["params"]) != len(loaded["params"]) for group, loaded in zip(groups, loaded_groups, strict=True)
        ):
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the size of optimizer's group"
            )

        parameter_of = {}
        for group, loaded in zip(groups, loaded_groups, strict=True):
            parameter_of.update(zip(loaded["params"], group["params"], strict=True))
        state = defaultdict(dict)
        for number, value in state_dict["state"].items():
            if number in parameter_of:
                parameter = parameter_of[number]
                state[parameter] = self._cast_state(parameter, value, number, state_dict["param_groups"])
            else:
                state[number] = value
        for group, loaded in zip(groups, loaded_groups, strict=True):
            loaded["params"] = group["params"]
            if "param_names" in group:
                loaded.setdefault("param_names", group["param_names"])
        self.__setstate__({"state": state, "param_groups": loaded_groups})
        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)

    def _cast_state(self, parameter, value, number, groups, key=None):
        if isinstance(value, Tensor):
            return self._process_value_according_to_param_policy(parameter, value, number, groups, key)
        if isinstance(value, dict):
            return {k: self._cast_state(parameter, v, number, groups, k) for k, v in value.items()}
        if isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
            return type(value)(self._cast_state(parameter, v, number, groups) for v in value)
        return value

    @staticmethod
    def _process_value_according_to_param_policy(param, value, param_id, param_groups, key=None):
        group = next((group for group in param_groups if param_id in group["params"]), {})
        if key == "step":  # counts beyond what float16 holds; only fused and capturable steps live beside the parameter
            if group.get("capturable", False) or group.get("fused", False):
                return value.to(dtype=_core.float32, device=param.device)
            return value
        if param.is_floating_point():
            return value.to(dtype=param.dtype, device=param.device)
        return value.to(device=param.device)

    def zero_grad(self, set_to_none=True):
        """Drop the gradients of all parameters, or fill them with zeros where ``set_to_none`` is false."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if set_to_none:
                    parameter.grad = None
                elif parameter.grad is not None:
                    gradient = parameter.grad
                    if gradient.grad_fn is not None:
                        gradient.detach_()
                    else:
                        gradient.requires_grad_(False)
                    gradient.zero_()

    def step(self, closure=None):
        """Update all parameters once; ``closure`` recomputes and returns the loss first."""
        raise NotImplementedError

    def add_param_group(self, param_group):
        """Let the optimizer also train ``param_group["params"]`` with the options the dict holds.

        Raises: TypeError for what is no dict or no tensor; ValueError for non-leaf, unnamed among named, or repeated
            parameters; NotImplementedError for sparse ones.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        given = param_group["params"]
        if isinstance(given, set):
            raise TypeError(
                "optimizer parameters need to be organized in ordered collections, but "
                "the ordering of tensors in sets will change between runs. Please use a list instead."
            )
        given = [given] if isinstance(given, Tensor) else list(given)
        names = [item[0] for item in given if isinstance(item, tuple)]
        parameters = param_group["params"] = [item[1] if isinstance(item, tuple) else item for item in given]
        if names:
            if len(names) != len(parameters):
                raise ValueError("all optimizer params should be with/without names. Some param names are missing")
            param_group["param_names"] = names

        for parameter in parameters:
            if not isinstance(parameter, Tensor):
                raise TypeError(
                    "optimizer can only optimize Tensors, but one of the params is " + _type_name(parameter)
                )
            if not (self.defaults.get("differentiable") or parameter.is_leaf or parameter.retains_grad):
                raise ValueError("can't optimize a non-leaf Tensor")
            if parameter.is_sparse:
                raise NotImplementedError(
                    f"{type(self).__name__}: sparse parameters are not trained; train the values that one is made of"
                )
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError(f"parameter group didn't specify a value of required optimization parameter {name}")
            param_group.setdefault(name, default)

        own = {id(parameter) for parameter in parameters}
        if len(own) != len(parameters):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; "
                "in future, this will cause an error; "
                "see github.com/pytorch/pytorch/issues/40967 for more information",
                stacklevel=3,
            )
        for group in self.param_groups:
            if ("param_names" in param_group) != ("param_names" in group):
                which = "with names" if "param_names" in param_group else "without names"
                raise ValueError(
                    "all optimizer param groups should be with/without names. "
                    f"cannot add param group {which} to the optimizer"
                )
        if any(id(parameter) in own for group in self.param_groups for parameter in group["params"]):
            raise ValueError("some parameters appear in more than one parameter group")
        self.param_groups.append(param_group)


_HOOK_REGISTRIES = (
    "_optimizer_step_pre_hooks",
    "_optimizer_step_post_hooks",
    "_optimizer_state_dict_pre_hooks",
    "_optimizer_state_dict_post_hooks",
    "_optimizer_load_state_dict_pre_hooks",
    "_optimizer_load_state_dict_post_hooks",
)
