"""Trains a LoRA adapter on what `greenlit adapter dataset` wrote.

    pip install torch transformers peft
    python train.py BASE train.jsonl out/ [--rank 16] [--epochs 3] [--rate 2e-4]

BASE is the directory of the model that the adapter is for, as `greenlit model list` shows it. The loss is that of the
replies alone; what a model is told is read and not learnt. Rank, scale and layers are settings that the engine reads:
it refuses what it would ignore (DoRA, rank patterns, saved modules).
"""

import argparse
import json
import random

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

LAYERS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def example(tokenizer, line):
    """Tokens of a conversation, and which of them are the reply."""
    messages = json.loads(line)["messages"]
    # As the engine asks: without thinking, where a template knows of it.
    prompt = tokenizer.apply_chat_template(
        messages[:-1], add_generation_prompt=True, tokenize=False, enable_thinking=False
    )
    prompt = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    reply = messages[-1]["content"] + tokenizer.eos_token
    reply = tokenizer(reply, add_special_tokens=False)["input_ids"]
    return prompt + reply, [-100] * len(prompt) + reply


def main():
    parser = argparse.ArgumentParser(description="Trains a LoRA adapter on accepted fixes.")
    parser.add_argument("base")
    parser.add_argument("dataset")
    parser.add_argument("output")
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rate", type=float, default=2e-4)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    random.seed(args.seed)
    # As the engine reads tokenizer.json. `AutoTokenizer` may put a class of its own in its place, by the kind of model.
    tokenizer = PreTrainedTokenizerFast.from_pretrained(args.base)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    model = AutoModelForCausalLM.from_pretrained(args.base, dtype=dtype).to(device)
    config = LoraConfig(r=args.rank, lora_alpha=args.rank, target_modules=LAYERS, task_type="CAUSAL_LM")
    model = get_peft_model(model, config)
    with open(args.dataset, encoding="utf-8") as lines:
        examples = [example(tokenizer, line) for line in lines if line.strip()]
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=args.rate)
    for epoch in range(args.epochs):
        random.shuffle(examples)
        loss_sum = 0.0
        for tokens, labels in examples:
            batch = {"input_ids": torch.tensor([tokens], device=device), "labels": torch.tensor([labels], device=device)}
            loss = model(**batch).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            loss_sum += loss.item()
        print(f"epoch {epoch + 1}: loss {loss_sum / len(examples):.4f}", flush=True)
    model.save_pretrained(args.output)


if __name__ == "__main__":
    main()
