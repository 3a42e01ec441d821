"""``SummaryWriter``: what a training run reports, in files for TensorBoard."""

import os
import re
import socket
import threading
import time

from . import summary
from .events import EventFile, message

__all__ = ["FileWriter", "SummaryWriter"]

_count = 0


class FileWriter:
    """One event file in a folder.

    Args:
        log_dir: the folder; made if it is not there.
        max_queue: after how many events they are brought to the file.
        flush_secs: after how many seconds they are, at the next event.
        filename_suffix: end of the file's name.
    """

    def __init__(self, log_dir, max_queue=10, flush_secs=120, filename_suffix=""):
        global _count
        self._log_dir = os.fspath(log_dir)
        os.makedirs(self._log_dir, exist_ok=True)
        _count += 1
        now = time.time()
        name = f"events.out.tfevents.{int(now):010d}.{socket.gethostname()}.{os.getpid()}.{_count}{filename_suffix}"
        self._file = EventFile(os.path.join(self._log_dir, name), now)
        self._lock = threading.Lock()
        self._max_queue, self._flush_secs = max_queue, flush_secs
        self._waiting, self._flushed_at = 0, now

    def get_logdir(self):
        """The folder."""
        return self._log_dir

    def add_summary(self, values, global_step=None, walltime=None):
        """Append a summary, as bytes."""
        now = time.time()
        step = None if global_step is None else int(global_step)
        event = message((1, float(now if walltime is None else walltime)), (2, step), (5, values))
        with self._lock:
            self._file.write(event)
            self._waiting += 1
            if self._waiting >= self._max_queue or now - self._flushed_at >= self._flush_secs:
                self._flush()

    def _flush(self):
        self._file.flush()
        self._waiting, self._flushed_at = 0, time.time()

    def flush(self):
        """Bring all events to the file."""
        with self._lock:
            self._flush()

    def close(self):
        """End the file."""
        with self._lock:
            self._file.close()


class SummaryWriter:
    """Writes what a run reports into a folder that ``tensorboard --logdir`` shows.

    Args:
        log_dir: the folder; by default ``runs/`` and the time and the machine's name.
        comment: end of that default name.
        purge_step: accepted.
        max_queue, flush_secs, filename_suffix: as for :class:`FileWriter`.

    The steps of all methods are ints or None; ``walltime`` is in seconds since 1970, now by default.
    """

    def __init__(self, log_dir=None, comment="", purge_step=None, max_queue=10, flush_secs=120, filename_suffix=""):
        if not log_dir:
            name = time.strftime("%b%d_%H-%M-%S") + "_" + socket.gethostname() + comment
            log_dir = os.path.join("runs", name)
        self.log_dir = os.fspath(log_dir)
        self.purge_step, self.max_queue, self.flush_secs = purge_step, max_queue, flush_secs
        self.filename_suffix = filename_suffix
        self.all_writers = None
        self.file_writer = self._get_file_writer()

    def _of_folder(self, folder):
        return FileWriter(folder, self.max_queue, self.flush_secs, self.filename_suffix)

    def _get_file_writer(self):
        """The file, opened anew after a ``close``."""
        if self.all_writers is None:
            self.file_writer = self._of_folder(self.log_dir)
            self.all_writers = {self.log_dir: self.file_writer}
        return self.file_writer

    def get_logdir(self):
        """The folder."""
        return self.log_dir

    def _add(self, values, global_step, walltime):
        self._get_file_writer().add_summary(values, global_step, walltime)

    def add_scalar(self, tag, scalar_value, global_step=None, walltime=None, new_style=False, double_precision=False):
        """A number, or a tensor of one element."""
        self._add(summary.scalar(tag, scalar_value, new_style, double_precision), global_step, walltime)

    def add_scalars(self, main_tag, tag_scalar_dict, global_step=None, walltime=None):
        """Several numbers for one diagram, each in a folder of its own."""
        self._get_file_writer()
        for tag, value in tag_scalar_dict.items():
            folder = os.path.join(self.log_dir, main_tag.replace("/", "_") + "_" + tag)
            if folder not in self.all_writers:
                self.all_writers[folder] = self._of_folder(folder)
            self.all_writers[folder].add_summary(summary.scalar(main_tag, value), global_step, walltime)

    def add_tensor(self, tag, tensor, global_step=None, walltime=None):
        """A tensor of one element, as a scalar."""
        self.add_scalar(tag, tensor, global_step, walltime, new_style=True)

    def add_histogram(self, tag, values, global_step=None, bins="tensorflow", walltime=None, max_bins=None):
        """How the values are distributed; ``bins`` as NumPy's ``histogram`` takes them."""
        self._add(summary.histogram(tag, values, bins, max_bins), global_step, walltime)

    def add_histogram_raw(
        self, tag, min, max, num, sum, sum_squares, bucket_limits, bucket_counts, global_step=None, walltime=None
    ):
        """A histogram that is there already."""
        values = summary.histogram_raw(tag, min, max, num, sum, sum_squares, bucket_limits, bucket_counts)
        self._add(values, global_step, walltime)

    def add_image(self, tag, img_tensor, global_step=None, walltime=None, dataformats="CHW"):
        """A picture of bytes or of numbers from 0 to 1, with 1, 3 or 4 channels."""
        self._add(summary.image(tag, img_tensor, dataformats), global_step, walltime)

    def add_images(self, tag, img_tensor, global_step=None, walltime=None, dataformats="NCHW"):
        """Several pictures side by side."""
        self._add(summary.image(tag, img_tensor, dataformats), global_step, walltime)

    def add_figure(self, tag, figure, global_step=None, close=True, walltime=None):
        """A figure of matplotlib, or a list of them; closed unless ``close`` is False."""
        import numpy as np
        from matplotlib import pyplot
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        pictures = []
        for one in figure if isinstance(figure, list) else [figure]:
            canvas = FigureCanvasAgg(one)
            canvas.draw()
            pictures.append(np.asarray(canvas.buffer_rgba())[..., :3])
            if close:
                pyplot.close(one)
        if isinstance(figure, list):
            self.add_images(tag, np.stack(pictures), global_step, walltime, dataformats="NHWC")
        else:
            self.add_image(tag, pictures[0], global_step, walltime, dataformats="HWC")

    def add_audio(self, tag, snd_tensor, global_step=None, sample_rate=44100, walltime=None):
        """A sound of numbers from -1 to 1, ``sample_rate`` of them in a second."""
        self._add(summary.audio(tag, snd_tensor, sample_rate), global_step, walltime)

    def add_text(self, tag, text_string, global_step=None, walltime=None):
        """Text, in Markdown."""
        self._add(summary.text(tag, text_string), global_step, walltime)

    def add_pr_curve(self, tag, labels, predictions, global_step=None, num_thresholds=127, weights=None, walltime=None):
        """Precision and recall of predictions (0 to 1) of labels (0 or 1)."""
        self._add(summary.pr_curve(tag, labels, predictions, num_thresholds, weights), global_step, walltime)

    def add_hparams(self, hparam_dict, metric_dict, hparam_domain_discrete=None, run_name=None, global_step=None):
        """The hyperparameters of a run and what it reached, in a folder of their own."""
        parts = summary.hparams(hparam_dict, metric_dict, hparam_domain_discrete, time.time())
        writer = self._of_folder(os.path.join(self.log_dir, run_name or str(time.time())))
        for part in parts:
            writer.add_summary(part)
        for tag, value in metric_dict.items():
            writer.add_summary(summary.scalar(tag, value), global_step)
        writer.close()

    def add_embedding(self, mat, metadata=None, label_img=None, global_step=None, tag="default", metadata_header=None):
        """Vectors (N, D) for the projector, with a label and a picture for each.

        Raises: AssertionError if the numbers of vectors, labels and pictures differ.
        """
        vectors = summary.as_array(mat)
        if vectors.ndim != 2:
            raise AssertionError("mat should be 2D, where mat.size(0) is the number of data points")
        for given, name in ((metadata, "labels"), (label_img, "images")):
            if given is not None and len(given) != len(vectors):
                raise AssertionError(f"#{name} should equal with #data points")
        place = re.sub(r"[^\w.-]", "_", tag)
        place = f"{0 if global_step is None else int(global_step):05d}/{place}"
        folder = os.path.join(self.log_dir, place)
        os.makedirs(folder, exist_ok=True)

        def rows_of(name, rows):
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                file.writelines("\t".join(map(str, row)) + "\n" for row in rows)

        lines = [f'tensor_name: "{tag}:{place.split("/")[0]}"', f'tensor_path: "{place}/tensors.tsv"']
        rows_of("tensors.tsv", vectors)
        if metadata is not None:
            head = [metadata_header] if metadata_header else []
            rows_of("metadata.tsv", head + [row if metadata_header else [row] for row in metadata])
            lines.append(f'metadata_path: "{place}/metadata.tsv"')
        if label_img is not None:
            picture, width, height = summary.sprite(label_img)
            with open(os.path.join(folder, "sprite.png"), "wb") as file:
                file.write(picture)
            size = f"single_image_dim: {width}\nsingle_image_dim: {height}"
            lines.append(f'sprite {{\nimage_path: "{place}/sprite.png"\n{size}\n}}')
        with open(os.path.join(self.log_dir, "projector_config.pbtxt"), "a", encoding="utf-8") as file:
            file.write("embeddings {\n" + "\n".join(lines) + "\n}\n")

    def add_graph(self, model, input_to_model=None, verbose=False, use_strict_trace=True):
        """Not here: the graph in PyTorch's logs is one of TorchScript."""
        raise NotImplementedError(
            "SummaryWriter.add_graph: rustnn has no TorchScript; rustnn.export lists a program's calls"
        )

    def add_video(self, tag, vid_tensor, global_step=None, fps=4, walltime=None):
        """Not here: add the frames as images."""
        raise NotImplementedError("SummaryWriter.add_video: add the frames as images")

    def add_mesh(self, tag, vertices, colors=None, faces=None, config_dict=None, global_step=None, walltime=None):
        """Not here."""
        raise NotImplementedError("SummaryWriter.add_mesh: rustnn writes no meshes")

    def add_custom_scalars(self, layout):
        """Not here: diagrams are laid out by their tags."""
        raise NotImplementedError(
            "SummaryWriter.add_custom_scalars: rustnn lays out no diagrams; tags with a / are grouped"
        )

    def flush(self):
        """Bring all events to the files."""
        for writer in (self.all_writers or {}).values():
            writer.flush()

    def close(self):
        """End the files; the next event begins new ones."""
        for writer in (self.all_writers or {}).values():
            writer.close()
        self.file_writer = self.all_writers = None

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()
