"""The explorer: `python app.py [--runs DIR]... [--data DIR]... [--host H] [--port P]`. Spaces start here."""

import sys

from vidpred.explorer.__main__ import make_demo, serve

PROG = "python app.py"

demo, library, options = make_demo(sys.argv[1:] if __name__ == "__main__" else [], PROG)

if __name__ == "__main__":
    serve(demo, library, options, PROG)
