"""Writes a tiny Llama: a configuration, and a tokenizer trained on text that is at hand.

    model.py DIRECTORY

There are no weights: vLLM draws them with `--load-format dummy`. The text that comes out is noise;
what travels on the wire is the server's own.
"""

import glob
import json
import os
import sys

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

SPECIAL = ["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"]
CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def main():
    directory = sys.argv[1]
    os.makedirs(directory, exist_ok=True)
    words = tokenizer(directory)
    heads, width = 4, 32
    write(
        directory,
        "config.json",
        architectures=["LlamaForCausalLM"],
        model_type="llama",
        vocab_size=words,
        hidden_size=heads * width,
        head_dim=width,
        num_attention_heads=heads,
        num_key_value_heads=heads // 2,
        intermediate_size=2 * heads * width,
        num_hidden_layers=2,
        max_position_embeddings=2048,
        rms_norm_eps=1e-5,
        rope_theta=10000.0,
        hidden_act="silu",
        attention_bias=False,
        mlp_bias=False,
        tie_word_embeddings=False,
        torch_dtype="float32",
        bos_token_id=1,
        eos_token_id=2,
    )
    write(directory, "generation_config.json", bos_token_id=1, eos_token_id=2)


def tokenizer(directory):
    base = Tokenizer(models.BPE())
    base.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    base.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1024,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    texts = [name for name in glob.glob("/usr/share/common-licenses/*") if os.path.isfile(name)]
    base.train(sorted(texts), trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=base,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        pad_token="</s>",
    )
    fast.chat_template = CHAT
    fast.save_pretrained(directory)
    return len(fast)


def write(directory, name, **values):
    with open(os.path.join(directory, name), "w") as output:
        json.dump(values, output, indent=1)


if __name__ == "__main__":
    main()
