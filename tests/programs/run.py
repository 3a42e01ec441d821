"""Trains with libraries written for PyTorch, on rustnn; `make programs`.

    python run.py                 all of them, each in a process of its own
    python run.py timm kornia     some
    python run.py --write         also writes the table into docs/programs.md

A program is a function of `torch`; what it returns is shown. It fails by an exception.
"""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[2] / "docs" / "programs.md"


def descent(torch: Any, step: Any, parameters: Any, lr: float = 0.01, steps: int = 8) -> str:
    """Trains; raises unless the loss falls."""
    optimizer = torch.optim.Adam(parameters, lr=lr)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = step()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    if not losses[-1] < losses[0]:
        raise AssertionError(f"the loss does not fall: {losses}")
    return f"loss {losses[0]:.3f} → {losses[-1]:.3f}"


def torchvision(torch: Any) -> str:
    import numpy as np
    from PIL import Image
    from torchvision import models, transforms

    picture = Image.fromarray((np.random.default_rng(0).random((40, 50, 3)) * 255).astype("uint8"))
    steps = [transforms.Resize(32), transforms.RandomCrop(28), transforms.RandomHorizontalFlip(), transforms.ToTensor()]
    image = transforms.Compose([*steps, transforms.Normalize((0.5,) * 3, (0.5,) * 3)])(picture)
    for name in ("mobilenet_v3_small", "efficientnet_b0", "densenet121", "swin_t", "shufflenet_v2_x0_5"):
        with torch.no_grad():
            models.get_model(name, weights=None).eval()(torch.rand(1, 3, 96, 96))
    net = models.resnet18(num_classes=2)
    batch, labels = torch.stack([image, -image, image.flip(2), -image.flip(2)]), torch.tensor([0, 1, 0, 1])
    loss = torch.nn.CrossEntropyLoss()
    return "resnet18 " + descent(torch, lambda: loss(net(batch), labels), net.parameters(), 1e-3)


def timm(torch: Any) -> str:
    import timm

    names = """resnet10t vit_tiny_patch16_224 convnext_atto efficientnet_lite0 mixer_s32_224
        deit_tiny_patch16_224""".split()
    for name in names:
        with torch.no_grad():
            timm.create_model(name, num_classes=5).eval()(torch.rand(1, 3, 224, 224))
    net = timm.create_model("resnet10t", num_classes=2)
    batch, labels = torch.rand(4, 3, 64, 64), torch.tensor([0, 1, 0, 1])
    return f"{len(names)} models, " + descent(
        torch, lambda: torch.nn.functional.cross_entropy(net(batch), labels), net.parameters(), 1e-3
    )


def transformers(torch: Any) -> str:
    import transformers as t

    small = {"vocab_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    small |= {"hidden_size": 32, "intermediate_size": 64}
    ids = torch.randint(0, 64, (2, 12))
    models = {
        "BERT": (
            t.BertForSequenceClassification(t.BertConfig(**small)),
            {"input_ids": ids, "labels": torch.tensor([0, 1])},
        ),
        "Llama": (t.LlamaForCausalLM(t.LlamaConfig(**small)), {"input_ids": ids, "labels": ids}),
        "GPT-2": (
            t.GPT2LMHeadModel(t.GPT2Config(vocab_size=64, n_embd=32, n_layer=2, n_head=4)),
            {"input_ids": ids, "labels": ids},
        ),
    }
    said = []
    for name, (model, batch) in models.items():
        said.append(f"{name} {descent(torch, lambda m=model, b=batch: m(**b).loss, model.parameters())}")
    made = models["GPT-2"][0].generate(ids[:, :4], max_new_tokens=5, do_sample=False, pad_token_id=0)
    if made.shape != (2, 9):
        raise AssertionError(made.shape)
    return ", ".join(said)


def transformers_trainer(torch: Any) -> str:
    from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

    small = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 1}
    small |= {"num_attention_heads": 2, "intermediate_size": 16}
    data = [{"input_ids": torch.randint(0, 50, (8,)), "labels": torch.tensor(i % 2)} for i in range(16)]
    with tempfile.TemporaryDirectory() as folder:
        options = {"max_steps": 4, "save_steps": 2, "report_to": [], "use_cpu": True, "disable_tqdm": True}
        arguments = TrainingArguments(folder, per_device_train_batch_size=4, **options)
        trainer = Trainer(BertForSequenceClassification(BertConfig(**small)), arguments, train_dataset=data)
        return f"loss {trainer.train().training_loss:.3f}, {len(list(Path(folder).glob('checkpoint-*')))} checkpoints"


def pytorch_lightning(torch: Any) -> str:
    import pytorch_lightning as pl

    class Net(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))

        def training_step(self, batch: Any, index: int) -> Any:
            loss = torch.nn.functional.cross_entropy(self.net(batch[0]), batch[1])
            self.log("loss", loss)
            return loss

        def validation_step(self, batch: Any, index: int) -> None:
            self.log("val", torch.nn.functional.cross_entropy(self.net(batch[0]), batch[1]))

        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.Adam(self.parameters(), lr=0.01)
            return {"optimizer": optimizer, "lr_scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 1)}

    x = torch.randn(256, 8)
    data = torch.utils.data.TensorDataset(x, (x.sum(1) > 0).long())
    loader = torch.utils.data.DataLoader(data, batch_size=32, shuffle=True)
    with tempfile.TemporaryDirectory() as folder:
        trainer = pl.Trainer(max_epochs=3, logger=False, default_root_dir=folder, enable_progress_bar=False)
        trainer.fit(Net(), loader, loader)
        if not list(Path(folder).rglob("*.ckpt")):
            raise AssertionError("no checkpoint was written")
        return f"validation loss {trainer.callback_metrics['val'].item():.3f}"


def stable_baselines3(torch: Any) -> str:
    from stable_baselines3 import DQN, PPO, SAC

    PPO("MlpPolicy", "CartPole-v1", n_steps=64, batch_size=32, n_epochs=2).learn(128)
    SAC("MlpPolicy", "Pendulum-v1", learning_starts=50).learn(80)
    dqn = DQN("MlpPolicy", "CartPole-v1", learning_starts=50).learn(100)
    with tempfile.TemporaryDirectory() as folder:
        dqn.save(f"{folder}/dqn")
        DQN.load(f"{folder}/dqn")
    return "PPO, SAC and DQN learn; DQN saved and loaded"


def skorch(torch: Any) -> str:
    import numpy as np
    from skorch import NeuralNetClassifier

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = torch.nn.Linear(4, 2)

        def forward(self, x: Any) -> Any:
            return torch.softmax(self.linear(x), -1)

    x = np.random.default_rng(0).normal(size=(200, 4)).astype("float32")
    y = (x.sum(1) > 0).astype("int64")
    score = NeuralNetClassifier(Net, max_epochs=10, lr=0.1, verbose=0).fit(x, y).score(x, y)
    if score < 0.7:
        raise AssertionError(score)
    return f"accuracy {score:.2f}"


def torchmetrics(torch: Any) -> str:
    import torchmetrics as t

    predictions, labels = torch.rand(40, 3).softmax(-1), torch.randint(0, 3, (40,))
    kinds = (t.Accuracy, t.F1Score, t.AUROC, t.ConfusionMatrix, t.CohenKappa, t.AveragePrecision, t.CalibrationError)
    for kind in kinds:
        kind(task="multiclass", num_classes=3)(predictions, labels)
    numbers = (t.MeanSquaredError, t.R2Score, t.PearsonCorrCoef, t.SpearmanCorrCoef, t.KendallRankCorrCoef)
    for kind in numbers:
        kind()(torch.rand(20), torch.rand(20))
    images = torch.rand(2, 3, 48, 48)
    for kind in (t.image.StructuralSimilarityIndexMeasure, t.image.PeakSignalNoiseRatio):
        kind(data_range=1.0)(images, images * 0.9)
    return f"{len(kinds) + len(numbers) + 2} metrics"


def x_transformers(torch: Any) -> str:
    from x_transformers import AutoregressiveWrapper, Decoder, TransformerWrapper

    layers = Decoder(dim=32, depth=2, heads=4, rotary_pos_emb=True, ff_glu=True, use_rmsnorm=True)
    model = AutoregressiveWrapper(TransformerWrapper(num_tokens=64, max_seq_len=64, attn_layers=layers))
    ids = torch.randint(0, 64, (2, 33))
    said = descent(torch, lambda: model(ids), model.parameters())
    return f"{said}, generates {tuple(model.generate(ids[:1, :4], 6).shape)}"


def torchdiffeq(torch: Any) -> str:
    from torchdiffeq import odeint_adjoint

    class Field(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = torch.nn.Linear(2, 2)

        def forward(self, t: Any, y: Any) -> Any:
            return torch.tanh(self.linear(y))

    field, times = Field(), torch.linspace(0, 1, 5)
    end = lambda: odeint_adjoint(field, torch.ones(3, 2), times)[-1]  # noqa: E731
    return descent(torch, lambda: end().square().mean(), field.parameters())


def kornia(torch: Any) -> str:
    import kornia as k

    x = torch.rand(2, 3, 32, 32)
    made = [
        k.filters.gaussian_blur2d(x, (5, 5), (1.0, 1.0)),
        k.color.rgb_to_hsv(x),
        k.geometry.rotate(x, torch.tensor([30.0, 10.0])),
        k.filters.sobel(x),
        k.augmentation.RandomAffine(15.0)(x),
        k.augmentation.ColorJitter(0.1, 0.1, 0.1, 0.1)(x),
        k.morphology.dilation(x, torch.ones(3, 3)),
        k.geometry.warp_perspective(x, torch.eye(3)[None].repeat(2, 1, 1), (32, 32)),
    ]
    return f"{len(made)} operations on images"


def gpytorch(torch: Any) -> str:
    import gpytorch as g

    class Process(g.models.ExactGP):
        def __init__(self, x: Any, y: Any, likelihood: Any) -> None:
            super().__init__(x, y, likelihood)
            self.mean, self.kernel = g.means.ConstantMean(), g.kernels.ScaleKernel(g.kernels.RBFKernel())

        def forward(self, x: Any) -> Any:
            return g.distributions.MultivariateNormal(self.mean(x), self.kernel(x))

    x = torch.linspace(0, 1, 30)
    y, likelihood = torch.sin(6 * x), g.likelihoods.GaussianLikelihood()
    process = Process(x, y, likelihood).train()
    likelihood.train()
    evidence = g.mlls.ExactMarginalLogLikelihood(likelihood, process)
    said = descent(torch, lambda: -evidence(process(x), y), process.parameters(), 0.1, 20)
    process.eval(), likelihood.eval()
    return f"{said}, predicts {likelihood(process(torch.tensor([0.5]))).mean.item():.2f} for sin 3 = 0.14"


def pyro(torch: Any) -> str:
    import pyro
    import pyro.distributions as d
    from pyro.infer import SVI, Trace_ELBO

    def model(data: Any) -> None:
        share = pyro.sample("share", d.Beta(2.0, 2.0))
        with pyro.plate("data", len(data)):
            pyro.sample("seen", d.Bernoulli(share), obs=data)

    def guide(data: Any) -> None:
        a = pyro.param("a", torch.tensor(2.0), constraint=d.constraints.positive)
        b = pyro.param("b", torch.tensor(2.0), constraint=d.constraints.positive)
        pyro.sample("share", d.Beta(a, b))

    data = torch.tensor([1.0] * 8 + [0.0] * 2)
    inference = SVI(model, guide, pyro.optim.Adam({"lr": 0.05}), Trace_ELBO(num_particles=4))
    for _ in range(100):
        inference.step(data)
    a, b = pyro.param("a").item(), pyro.param("b").item()
    if not 0.5 < a / (a + b) < 0.9:
        raise AssertionError((a, b))
    return f"posterior mean {a / (a + b):.2f}, exact 0.71"


def captum(torch: Any) -> str:
    from captum.attr import DeepLift, GradientShap, IntegratedGradients, Occlusion, Saliency

    net, x = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2)), torch.rand(2, 3)
    whole = IntegratedGradients(net).attribute(x, target=1, n_steps=64).sum(1)
    if not torch.allclose(whole, (net(x) - net(torch.zeros_like(x)))[:, 1], atol=1e-2):
        raise AssertionError("attributions do not add up")
    Saliency(net).attribute(x, target=1)
    DeepLift(net).attribute(x, target=1)
    GradientShap(net).attribute(x, torch.zeros(4, 3), target=1)
    Occlusion(net).attribute(x, sliding_window_shapes=(1,), target=1)
    return "five attributions; integrated gradients add up"


def ignite(torch: Any) -> str:
    from ignite.engine import create_supervised_evaluator, create_supervised_trainer
    from ignite.metrics import Accuracy, Loss

    net = torch.nn.Linear(4, 2)
    criterion = torch.nn.CrossEntropyLoss()
    trainer = create_supervised_trainer(net, torch.optim.SGD(net.parameters(), lr=0.5), criterion)
    x = torch.randn(64, 4)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, (x.sum(1) > 0).long()), 16)
    trainer.run(loader, max_epochs=5)
    evaluator = create_supervised_evaluator(net, metrics={"accuracy": Accuracy(), "loss": Loss(criterion)})
    evaluator.run(loader)
    if evaluator.state.metrics["accuracy"] < 0.7:
        raise AssertionError(evaluator.state.metrics)
    return f"accuracy {evaluator.state.metrics['accuracy']:.2f}"


def pytorch_tabnet(torch: Any) -> str:
    import numpy as np
    from pytorch_tabnet.tab_model import TabNetClassifier

    x = np.random.default_rng(0).normal(size=(200, 5)).astype("float32")
    net = TabNetClassifier(verbose=0)
    net.fit(x, (x[:, 0] > 0).astype(int), max_epochs=2)
    return f"predicts {net.predict(x).shape}"


def pytorch_metric_learning(torch: Any) -> str:
    from pytorch_metric_learning import losses, miners

    points, labels = torch.nn.Parameter(torch.randn(16, 8)), torch.arange(16) % 4
    triplets, miner, pairs = losses.TripletMarginLoss(), miners.MultiSimilarityMiner(), losses.NTXentLoss()

    def loss() -> Any:
        return triplets(points, labels, miner(points, labels)) + pairs(points, labels)

    return descent(torch, loss, [points], 0.1)


def segmentation_models_pytorch(torch: Any) -> str:
    import segmentation_models_pytorch as smp

    net = smp.Unet("resnet18", encoder_weights=None, classes=1)
    x, loss = torch.rand(2, 3, 64, 64), smp.losses.DiceLoss("binary")
    return descent(torch, lambda: loss(net(x), (x[:, :1] > 0.5).float()), net.parameters(), 1e-3)


def torchinfo(torch: Any) -> str:
    import torchinfo

    net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU())
    return f"{torchinfo.summary(net, (1, 3, 16, 16), verbose=0).total_params} parameters"


def vector_quantize_pytorch(torch: Any) -> str:
    from vector_quantize_pytorch import FSQ, ResidualVQ, VectorQuantize

    x = torch.randn(2, 10, 16)
    VectorQuantize(dim=16, codebook_size=32)(x)
    ResidualVQ(dim=16, codebook_size=32, num_quantizers=2)(x)
    return f"codes {tuple(FSQ([8, 5, 5])(torch.randn(2, 10, 3))[1].shape)}"


def accelerate(torch: Any) -> str:
    from accelerate import Accelerator

    a = Accelerator(cpu=True)
    net = torch.nn.Linear(4, 2)
    x = torch.randn(64, 4)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, (x.sum(1) > 0).long()), 8)
    net, optimizer, loader = a.prepare(net, torch.optim.AdamW(net.parameters(), lr=0.05), loader)
    losses = []
    for _ in range(3):
        for inputs, labels in loader:
            loss = torch.nn.functional.cross_entropy(net(inputs), labels)
            a.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.item())
    if not losses[-1] < losses[0]:
        raise AssertionError(losses)
    return f"loss {losses[0]:.3f} → {losses[-1]:.3f}"


def is_program(value: Any) -> bool:
    return getattr(value, "__annotations__", {}).keys() == {"torch", "return"}


PROGRAMS = {name: value for name, value in globals().items() if is_program(value)}
MARKS = "<!-- programs: written by tests/programs/run.py --write -->", "<!-- end -->"
DISTRIBUTIONS = {"ignite": "pytorch-ignite", "pyro": "pyro-ppl", "transformers_trainer": "transformers"}


def version(name: str) -> str:
    return importlib.metadata.version(DISTRIBUTIONS.get(name, name).replace("_", "-"))


def work(name: str) -> None:
    import rustnn.as_torch

    rustnn.as_torch.install()
    warnings.simplefilter("ignore")
    import torch

    torch.manual_seed(0)
    print(f"RESULT {PROGRAMS[name](torch)}", flush=True)


def main() -> int:
    arguments = sys.argv[1:]
    if arguments[:1] == ["--work"]:
        work(arguments[1])
        return 0
    write = "--write" in arguments
    names = [name for name in arguments if name != "--write"] or list(PROGRAMS)
    rows, failed = [], 0
    for name in names:
        start = time.perf_counter()
        done = subprocess.run([sys.executable, __file__, "--work", name], capture_output=True, text=True, check=False)
        results = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
        if done.returncode == 0 and results:
            said = results[-1].removeprefix("RESULT ")
        else:
            failed += 1
            lines = (done.stderr.strip() or f"ended with {done.returncode}").splitlines()
            said = f"FAILED: {lines[-1]}"
        rows.append(f"| {name.replace('_trainer', ' (Trainer)')} | {version(name)} | {said} |")
        print(f"{rows[-1]} {time.perf_counter() - start:.0f} s", flush=True)
    if write:
        page = PAGE.read_text()
        head, tail = page.split(MARKS[0])[0].rstrip("\n"), page.split(MARKS[1])[1]
        table = ["| library | version | what it did |", "|---|---|---|", *rows]
        PAGE.write_text("\n".join([head, "", MARKS[0], "", *table, "", MARKS[1]]) + tail)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
