"""The package `spaces` as it works on ZeroGPU: a decorated function runs in a forked process, in a thread of it; what
goes there and comes back is pickled; an error becomes one of Gradio's. Here also: no tensor goes either way."""

import functools
import io
import multiprocessing
import pickle
import sys
import threading

IMPORTED_BEFORE = {"torch", "gradio"} - set(sys.modules)
calls = []  # functions of a model, by their names


class Pickler(pickle.Pickler):
    def reducer_override(self, value):
        assert type(value).__module__.split(".")[0] != "torch", f"a {type(value)} was to be pickled"
        return NotImplemented


def pickled(value):
    file = io.BytesIO()
    Pickler(file).dump(value)
    return file.getvalue()


def GPU(task, duration=None):
    @functools.wraps(task)
    def leased(*args):
        calls.append(next(arg.__name__ for arg in args if callable(arg)))
        here, there = multiprocessing.Pipe()
        sent = pickled(args)

        def work():
            try:
                answer = True, task(*pickle.loads(sent))
                there.send_bytes(pickled(answer))
            except Exception as error:
                there.send_bytes(pickled((False, repr(error))))

        def in_a_thread():
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()

        multiprocessing.get_context("fork").Process(target=in_a_thread, daemon=True).start()
        well, answer = pickle.loads(here.recv_bytes())
        assert well, f"ZeroGPU worker error: {answer}"
        return answer

    return leased


def gradio_auto_wrap(handler):
    return handler
