"""The console command's first module: it ends the program on Ctrl-C while all others are still imported.

Knows signals; imports nothing of thinkport before it is called, since an interrupted import ends in a traceback, or in
an error that hides the interrupt. What imports make stays to the end, so that no collector looks for garbage in it.
"""

import gc
import signal


def main() -> None:
    """Import the command line and run it. Where Ctrl-C is ignored, as in a shell's background, it stays so."""
    usual = signal.getsignal(signal.SIGINT)
    if usual is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    gc.disable()  # 60 ms of processor time in 500: thinkport --version
    from thinkport.runtime.cli.main import main as run

    gc.freeze()
    gc.enable()
    if usual is signal.default_int_handler:
        signal.signal(signal.SIGINT, usual)
    run()
