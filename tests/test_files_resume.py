"""A run that a checkpoint interrupts and resumes gives the very bits of the run that nothing interrupted."""

from __future__ import annotations

import pytest

import rustnn
from rustnn import nn
from rustnn.utils.data import DataLoader, TensorDataset


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.3)
        self.out = nn.Linear(4 * 36, 3)

    def forward(self, x):
        return self.out(self.drop(self.norm(self.conv(x)).relu().flatten(1)))


OPTIMIZERS = {
    "sgd": lambda p: rustnn.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    "adam": lambda p: rustnn.optim.Adam(p, lr=0.01, amsgrad=True),
    "adamw": lambda p: rustnn.optim.AdamW(p, lr=0.01),
}
SCHEDULERS = {
    "step": lambda o: rustnn.optim.lr_scheduler.StepLR(o, 2, 0.5),
    "cosine": lambda o: rustnn.optim.lr_scheduler.CosineAnnealingLR(o, 6),
}


class Run:
    """Everything that a training run consists of."""

    def __init__(self, optimizer, scheduler, seed):
        rustnn.manual_seed(seed)
        self.net = Net()
        self.optimizer = OPTIMIZERS[optimizer](self.net.parameters())
        self.scheduler = SCHEDULERS[scheduler](self.optimizer)
        self.order = rustnn.Generator().manual_seed(seed)
        # The data are the same in each run.
        data = rustnn.Generator().manual_seed(7)
        x = rustnn.randn(40, 1, 8, 8, generator=data)
        y = rustnn.randint(0, 3, (40,), generator=data)
        self.loader = DataLoader(TensorDataset(x, y), batch_size=8, shuffle=True, generator=self.order)
        self.epoch = 0

    def train(self, epochs):
        losses = []
        for _ in range(epochs):
            for x, y in self.loader:
                loss = nn.functional.cross_entropy(self.net(x + 0.1 * rustnn.randn(x.shape)), y)
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
                losses.append(loss.item())
            self.scheduler.step()
            self.epoch += 1
        return losses

    def save(self, path, **options):
        state = {
            "net": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "random": rustnn.get_rng_state(),
            "order": self.order.get_state(),
            "epoch": self.epoch,
        }
        rustnn.save(state, path, **options)

    def load(self, path, **options):
        state = rustnn.load(path, **options)
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        rustnn.set_rng_state(state["random"])
        self.order.set_state(state["order"])
        self.epoch = state["epoch"]


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_resumed_run_gives_the_same_bits(tmp_path, optimizer, scheduler):
    whole = Run(optimizer, scheduler, 1)
    losses = whole.train(6)
    part = Run(optimizer, scheduler, 1)
    before = part.train(3)
    part.save(tmp_path / "a.pt")
    part.save(tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    for name, options in (("a.pt", {}), ("a.pt", {"mmap": True}), ("old.pt", {}), ("a.pt", {"weights_only": False})):
        resumed = Run(optimizer, scheduler, 99)
        resumed.train(1)  # somewhere else altogether
        resumed.load(tmp_path / name, **options)
        assert before + resumed.train(3) == losses, (name, options)
        assert resumed.epoch == 6
        for key, value in whole.net.state_dict().items():
            assert rustnn.equal(resumed.net.state_dict()[key], value), key
        assert resumed.optimizer.param_groups[0]["lr"] == whole.optimizer.param_groups[0]["lr"]


def test_a_whole_run_pickled_as_objects_resumes_too(tmp_path):
    whole = Run("adam", "step", 1)
    losses = whole.train(4)
    part = Run("adam", "step", 1)
    before = part.train(2)
    state = {"net": part.net, "optimizer": part.optimizer}
    state |= {"random": rustnn.get_rng_state(), "order": part.order.get_state()}
    rustnn.save(state, tmp_path / "a.pt")
    state = rustnn.load(tmp_path / "a.pt", weights_only=False)
    assert type(state["net"]) is Net
    resumed = Run("adam", "step", 5)
    resumed.net, resumed.optimizer = state["net"], state["optimizer"]
    # The parameters of the two are one, as they were.
    assert resumed.optimizer.param_groups[0]["params"][0] is next(resumed.net.parameters())
    resumed.scheduler = SCHEDULERS["step"](resumed.optimizer)
    resumed.scheduler.load_state_dict(part.scheduler.state_dict())
    rustnn.set_rng_state(state["random"])
    resumed.order.set_state(state["order"])
    assert before + resumed.train(2) == losses
