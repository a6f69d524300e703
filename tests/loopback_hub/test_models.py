"""Models as transformers loads them by name."""

SCRIPT = """
from transformers import AutoModelForCausalLM, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained("acme/tiny-llama")
turn = [{"role": "user", "content": "Hello"}]
text = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
tokens = tokenizer(text, return_tensors="pt")
model = AutoModelForCausalLM.from_pretrained("acme/tiny-llama")
said = model.generate(**tokens, max_new_tokens=3, min_new_tokens=3, do_sample=False)
def outcome(name):
    try:
        AutoModelForCausalLM.from_pretrained(name)
        return "loaded"
    except Exception as error:
        return type(error).__name__
answer = {
    "text": text,
    "new": said.shape[1] - tokens["input_ids"].shape[1],
    "sharded": outcome("acme/sharded-llama"),
    "qwen": outcome("acme/tiny-qwen"),
    "adapter": outcome("alice/tiny-adapter"),
    "code": outcome("acme/custom-code"),
    "gated": outcome("acme/gated-llama"),
    "absent": outcome("acme/absent"),
}
"""


def test_models_of_every_kind_are_loaded_by_name(hub, client):
    answer = client(hub, SCRIPT)

    assert answer == {
        "text": "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n",
        "new": 3,
        "sharded": "loaded",
        "qwen": "loaded",
        "adapter": "loaded",
        "code": "ValueError",
        "gated": "OSError",
        "absent": "OSError",
    }
