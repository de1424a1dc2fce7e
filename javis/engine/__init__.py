"""What answers: llama.cpp, transformers and a scripted engine behind one protocol."""
