"""The published experiments of sequence copying: a label for each job, and its command."""

TOY = "--seq_length 20 --hidden_dim 64 --bsize 64 --steps 120 --lr 0.003 --seeds 4"
EXPERIMENTS = {
    "seq2seq": ("permutations|seq2seq.py --no_rep", "40 of 60|seq2seq.py --no_rep num_vocab=60"),
    "multihead": ("multihead|multihead.py",),
    "law": (
        "law|law.py",
        "law, large embeddings|law.py --embedding_std 1 --vocabs 32 --repetition tokens none "
        "--eval_every 2 --max_steps 500 --name law_std1",
    ),
    "toy": (
        f"permutations|seq2seq.py --no_rep num_vocab=20 {TOY} --exp_name toy_20of20",
        f"20 of 30|seq2seq.py --no_rep num_vocab=30 {TOY} --exp_name toy_20of30",
    ),
}
