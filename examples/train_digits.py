"""A first lesson: teach a small convolutional network to read handwritten digits.

    python examples/train_digits.py                 trains, and leaves its results in out/
    python examples/train_digits.py --epochs 5      see --help for the rest

The data (1,797 images of 8x8 pixels) come with the package. Read from top to bottom: the network, one epoch of
training, one of testing, and the main program that puts them together.
"""

import argparse
import sys
import time
from pathlib import Path

import rustnn
from rustnn import nn
from rustnn.nn import functional as F
from rustnn.utils.data import DataLoader


class DigitNet(nn.Module):
    """Two convolutions find strokes and their combinations; two linear layers decide."""

    def __init__(self):
        super().__init__()
        self.strokes = nn.Conv2d(1, 16, kernel_size=3, padding=1)  # (N, 1, 8, 8) -> (N, 16, 8, 8)
        self.strokes_norm = nn.BatchNorm2d(16)
        self.shapes = nn.Conv2d(16, 32, kernel_size=3, padding=1)  # (N, 16, 8, 8) -> (N, 32, 8, 8)
        self.shapes_norm = nn.BatchNorm2d(32)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(2)  # halves height and width
        self.dropout = nn.Dropout(0.25)
        self.hidden = nn.Linear(32 * 4 * 4, 64)
        self.digit = nn.Linear(64, 10)

    def forward(self, images):
        x = self.relu(self.strokes_norm(self.strokes(images)))
        x = self.pool(self.relu(self.shapes_norm(self.shapes(x))))
        x = self.dropout(x.flatten(1))
        x = self.relu(self.hidden(x))
        return self.digit(x)  # one score per digit; the loss turns them into probabilities


def train_epoch(network, loader, optimizer, scheduler, device):
    """One pass over the training data; returns the mean loss."""
    network.train()
    total = 0.0
    for images, labels in progress(loader):
        images, labels = images.to(device), labels.to(device)
        loss = F.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        total += loss.item() * len(labels)
    return total / len(loader.dataset)


@rustnn.no_grad()
def evaluate(network, loader, device):
    """Mean loss and share of right answers on data the network does not learn from."""
    network.eval()
    loss, right = 0.0, 0
    for images, labels in loader:
        images, labels = images.to(device), labels.to(device)
        scores = network(images)
        loss += F.cross_entropy(scores, labels, reduction="sum").item()
        right += (scores.argmax(dim=1) == labels).sum().item()
    return loss / len(loader.dataset), right / len(loader.dataset)


def train(args):
    """Train and test one network; returns it and what each epoch gave."""
    rustnn.manual_seed(args.seed)
    train_data, test_data = rustnn.datasets.digits()
    train_loader = DataLoader(train_data, batch_size=args.batch_size, shuffle=True)
    test_loader = DataLoader(test_data, batch_size=360)

    network = DigitNet().to(args.device)
    optimizer = rustnn.optim.Adam(network.parameters(), lr=args.lr)
    steps = args.epochs * len(train_loader)
    scheduler = rustnn.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)  # ends with small steps
    print(rustnn.summary(network, (args.batch_size, 1, 8, 8)), end="\n\n")

    history = []
    for epoch in range(1, args.epochs + 1):
        start = time.perf_counter()
        train_loss = train_epoch(network, train_loader, optimizer, scheduler, args.device)
        test_loss, accuracy = evaluate(network, test_loader, args.device)
        seconds = time.perf_counter() - start
        history.append((train_loss, test_loss, accuracy))
        print(
            f"epoch {epoch:2}/{args.epochs}   train loss {train_loss:.4f}   "
            f"test loss {test_loss:.4f}   test accuracy {accuracy:6.2%}   {seconds:.2f} s"
        )
    return network, optimizer, history


def save(network, optimizer, history, folder):
    """Leave a checkpoint to go on from, the weights alone, and the learning curve."""
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "history": history}
    rustnn.save(checkpoint, folder / "digits.pt")  # torch.load reads it too
    rustnn.save_safetensors(network.state_dict(), folder / "digits.safetensors")
    print(f"\nsaved {folder / 'digits.pt'} and {folder / 'digits.safetensors'}")
    plot(history, folder / "digits.png")


def plot(history, path):
    """Draw the losses and the accuracy over the epochs, if matplotlib is there to draw with."""
    try:
        import matplotlib
    except ImportError:
        print("no learning curve: matplotlib is not installed (pip install matplotlib)")
        return
    matplotlib.use("Agg")  # draw into a file, on machines without a screen too
    from matplotlib import pyplot as plt

    epochs = range(1, len(history) + 1)
    train_losses, test_losses, accuracies = zip(*history, strict=True)
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    left.semilogy(epochs, train_losses, label="train")
    left.semilogy(epochs, test_losses, label="test")
    left.set(xlabel="epoch", ylabel="cross-entropy", title="loss")
    left.legend()
    right.plot(epochs, [100 * accuracy for accuracy in accuracies], color="tab:green")
    right.axhline(100 * accuracies[-1], color="grey", linewidth=0.5)
    right.set(xlabel="epoch", ylabel="right answers, %", title=f"test accuracy (last: {accuracies[-1]:.2%})")
    figure.savefig(path, dpi=120)
    plt.close(figure)
    print(f"saved {path}")


def progress(loader):
    """The loader's batches, with a bar while they pass; only where someone looks on."""
    if not sys.stderr.isatty():
        yield from loader
        return
    for number, batch in enumerate(loader, 1):
        yield batch
        filled = 30 * number // len(loader)
        print(f"\r[{'#' * filled}{'.' * (30 - filled)}] {number}/{len(loader)}", end="", file=sys.stderr, flush=True)
    print("\r\033[K", end="", file=sys.stderr, flush=True)  # the line of the epoch takes the bar's place


def main():
    parser = argparse.ArgumentParser(description="Train a small network on handwritten digits.")
    parser.add_argument("--epochs", type=int, default=20, help="passes over the training data")
    parser.add_argument("--lr", type=float, default=3e-3, help="learning rate at the start")
    parser.add_argument("--batch-size", type=int, default=64, help="images per step")
    parser.add_argument("--seed", type=int, default=0, help="of the weights, the order and the dropout")
    parser.add_argument("--device", default="cpu", help="where to compute: cpu or gpu")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the results")
    args = parser.parse_args()

    start = time.perf_counter()
    network, optimizer, history = train(args)
    print(f"\ntest accuracy {history[-1][2]:.2%} after {time.perf_counter() - start:.1f} s")
    save(network, optimizer, history, args.out)


if __name__ == "__main__":
    main()
