"""What stands between the network and Gradio: the gate, who is there, what was handed in, and where it lies."""
