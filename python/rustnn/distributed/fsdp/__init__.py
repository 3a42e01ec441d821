"""Modules whose parameters are shared out over processes: named, not made."""

from .._absent import absent

__all__ = absent(
    globals(),
    classes="""BackwardPrefetch CPUOffload CPUOffloadPolicy FSDPModule FullOptimStateDictConfig FullStateDictConfig
        FullyShardedDataParallel LocalStateDictConfig MixedPrecision MixedPrecisionPolicy OffloadPolicy
        OptimStateKeyType ShardedStateDictConfig ShardingStrategy StateDictType""",
    functions="fully_shard register_fsdp_forward_method",
)
