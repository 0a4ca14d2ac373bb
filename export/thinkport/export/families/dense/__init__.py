"""The dense decoder that several families are: full attention with rotary, RMS norms, SwiGLU."""
