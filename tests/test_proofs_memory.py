"""Nothing leaks: long training, cycles of every kind, graphs a million operations deep."""

from fresh_interpreter import run

STEPS = """
import gc, os
import rustnn
from rustnn import nn

def resident_kb():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))

rustnn._core._living_nodes()  # the count starts here
rustnn.manual_seed(0)
model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.1),
                      nn.Linear(36, 10))
optimizer = rustnn.optim.Adam(model.parameters())
images, labels = rustnn.rand(4, 1, 8, 8), rustnn.tensor([1, 2, 3, 4])

def train(steps):
    for _ in range(steps):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        loss.item()
"""


def test_ten_thousand_training_steps_leave_memory_flat_and_no_node_behind():
    live, kept, grown, nodes, unreachable = map(
        int,
        run(
            STEPS
            + """
train(1000)
gc.collect()
gc.disable()  # references alone have to free everything
before, resident = rustnn._core._memory(), resident_kb()
train(10_000)
after = rustnn._core._memory()
print(after[0] - before[0], after[2] - before[2], resident_kb() - resident)
del model, optimizer
print(rustnn._core._living_nodes(), int(gc.collect() > 1000))
""",
            timeout=250,
        ),
    )
    assert live == 0, "bytes in tensors"
    assert kept <= 1 << 20, "bytes kept for reuse"
    assert grown <= 1024, "KiB of the process"
    assert nodes == 0, "nodes of the graph"
    assert not unreachable, "garbage that only the collector finds"


def test_the_counter_sees_a_graph_that_is_kept():
    assert run(STEPS + "kept = model(images)\nprint(rustnn._core._living_nodes() > 5)\n") == ["True"]


CYCLES = """
import gc, weakref
import rustnn

gc.disable()
rustnn._core._living_nodes()
x = rustnn.ones(3, requires_grad=True)

class Ours(rustnn.Tensor):
    pass

class Keep(rustnn.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * 2

    @staticmethod
    def backward(ctx, grad):
        return grad * 2

class Marker:
    pass

def watched(tensor):
    # Tensors and what hangs on them die together.
    tensor.marker = Marker()
    return weakref.ref(tensor.marker)
"""

# Each makes cycles through one kind of reference; `ref` watches something inside.
KINDS = {
    "attribute": "t = rustnn.ones(2); t.own = t; ref = watched(t)",
    "attributes of two": "a, b = rustnn.ones(2), rustnn.ones(2); a.b, b.a = b, a; ref = watched(a); del a, b",
    "attribute of a subclass": ("t = Ours._make_subclass(Ours, rustnn.ones(2)); t.own = t; ref = watched(t)"),
    "attribute of a parameter": "t = rustnn.nn.Parameter(rustnn.ones(2)); t.own = t; ref = watched(t)",
    "hook on a leaf": "t = rustnn.ones(2, requires_grad=True); ref = watched(t); t.register_hook(lambda g, t=t: None)",
    "hook after accumulation": (
        "t = rustnn.ones(2, requires_grad=True); ref = watched(t); "
        "t.register_post_accumulate_grad_hook(lambda leaf, t=t: None)"
    ),
    "hook on a result": "t = x * 2; ref = watched(t); t.register_hook(lambda g, t=t: None)",
    "hook that knows its handle": (
        "t = rustnn.ones(2, requires_grad=True); ref = watched(t); box = []; "
        "box.append(t.register_hook(lambda g, t=t, box=box: box[0].remove())); del box"
    ),
    "gradient": ("t = rustnn.ones(2, requires_grad=True); (t * 2).sum().backward(); t.grad.of = t; ref = watched(t)"),
    "gradient set by hand": (
        "t = rustnn.ones(2, requires_grad=True); g = rustnn.ones(2); t.grad = g; g.of = t; ref = watched(t); del g"
    ),
    "base of a view": "t = rustnn.ones(2, 2); t.row = t[0]; ref = watched(t)",
    "context of a function": "t = Keep.apply(x); ref = watched(t); t.grad_fn._context.result = t",
    "input saved by a function": (
        "t = rustnn.ones(2, requires_grad=True); ref = watched(t); y = Keep.apply(t); t.result = y; del y"
    ),
    "hook on a node": (
        "t = x * 2; n = t.grad_fn; ref = weakref.ref(n); n.register_hook(lambda a, b, n=n: None); del t, n"
    ),
    "pre-hook on a node": (
        "t = x * 2; n = t.grad_fn; ref = weakref.ref(n); n.register_prehook(lambda g, n=n: None); del t, n"
    ),
}


def test_cycles_of_every_kind_are_collected():
    lines = []
    for kind, code in KINDS.items():
        lines.append(f"""
{code}
vars().pop("t", None)
alive = ref() is not None
gc.collect()
print({kind!r}.replace(" ", "_"), alive, ref() is None)
""")
    found = run(CYCLES + "".join(lines) + "del ref, x; gc.collect(); print(rustnn._core._living_nodes())")
    assert found[-1] == "0", "nodes that live on"
    table = {found[i]: found[i + 1 : i + 3] for i in range(0, len(found) - 1, 3)}
    assert len(table) == len(KINDS)
    # Without a cycle, the object would have died before the collection, and the row would prove nothing.
    assert {kind: row for kind, row in table.items() if row != ["True", "True"]} == {}


def test_a_handle_keeps_neither_its_hook_nor_its_tensor():
    assert run(
        CYCLES
        + """
t = rustnn.ones(2, requires_grad=True)
handles = []
marker = Marker()
ref = weakref.ref(marker)
handles.append(t.register_hook(lambda g, marker=marker: handles[0]))
del t, marker
print(ref() is None)
handles[0].remove()
"""
    ) == ["True"]


def test_the_collector_leaves_alone_what_the_graph_still_needs():
    # The leaf's object is in a cycle and unreachable; its gradient hook and its memory live on in the graph.
    assert run(
        CYCLES
        + """
seen = []
t = rustnn.ones(2, requires_grad=True)
t.own = t
t.register_hook(lambda g: seen.append(g.tolist()))
y = (t * t).sum()
del t
gc.collect()
gc.collect()
y.backward()
print(seen == [[2.0, 2.0]], y.grad_fn.next_functions[0][0] is not None)
"""
    ) == ["True", "True"]


CHAIN = """
import threading
import rustnn

rustnn._core._living_nodes()

def chain(x, count):
    y = x
    for _ in range(count):
        y = y * 1.0
    return y
"""


def test_a_chain_of_a_million_operations_is_differentiated_and_freed():
    assert run(
        CHAIN
        + """
x = rustnn.ones(1, requires_grad=True)
y = chain(x, 1_000_000)
print(rustnn._core._living_nodes() >= 1_000_000)
y.backward()
print(x.grad.item())
del x, y
print(rustnn._core._living_nodes())
""",
        timeout=200,
    ) == ["True", "1.0", "0"]


def test_a_chain_is_freed_without_a_backward_and_in_a_thread_with_a_small_stack():
    assert run(
        CHAIN
        + """
def work():
    x = rustnn.ones(1, requires_grad=True)
    y = chain(x, 300_000)
    y.backward(retain_graph=True)
    print(x.grad.item())
    del y
    chain(x, 300_000)
    del x
    print(rustnn._core._living_nodes())

threading.stack_size(256 << 10)
thread = threading.Thread(target=work)
thread.start()
thread.join()
""",
        timeout=200,
    ) == ["1.0", "0"]


def test_a_chain_of_in_place_operations_and_views_is_freed():
    assert run(
        CHAIN
        + """
x = rustnn.ones(4, requires_grad=True)
y = x * 1.0
for _ in range(100_000):
    y[1:3].mul_(1.0)
y.sum().backward()
print(x.grad.tolist() == [1.0] * 4)
del x, y
print(rustnn._core._living_nodes())
""",
        timeout=200,
    ) == ["True", "0"]


def test_a_hundred_thousand_custom_functions_are_differentiated_and_freed():
    assert run(
        CHAIN
        + """
class Same(rustnn.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * 1.0

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * x

def work(backward):
    x = y = rustnn.ones(1, requires_grad=True)
    for _ in range(100_000):
        y = Same.apply(y)
    if backward:
        y.backward()
        print(x.grad.item())

work(True)
work(False)
print(rustnn._core._living_nodes())
threading.stack_size(256 << 10)
thread = threading.Thread(target=work, args=(False,))
thread.start()
thread.join()
print(rustnn._core._living_nodes())
""",
        timeout=250,
    ) == ["1.0", "0", "0"]
