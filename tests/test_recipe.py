"""A recipe checks what a pure value can, says what a form needs, and becomes LLaMA-Factory's arguments."""

from __future__ import annotations

import json

import pytest

from llmws.errors import InvalidRequest
from llmws.recipe import PRESETS, Recipe


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("method", "prompt"),
        ("stage", "ppo"),
        ("epochs", 0),
        ("epochs", float("nan")),
        ("epochs", "3"),
        ("max_steps", 0),
        ("max_steps", 2.5),
        ("max_steps", True),
        ("learning_rate", 0.0),
        ("learning_rate", 2.0),
        ("batch_size", None),
        ("batch_size", 0),
        ("cutoff_len", 8),
        ("warmup", 1.0),
        ("lora_rank", 0),
        ("lora_dropout", 1.0),
        ("lora_target", " "),
        ("quantization_bit", 3),
        ("val_size", 0.9),
        ("scheduler", "none"),
        ("seed", -1),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(InvalidRequest) as refused:
        Recipe(**{"method": "qlora", field: value})
    assert refused.value.details["field"] == field
    assert field in refused.value.message
    assert refused.value.remedy


def test_bits_without_qlora_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="Use qlora"):
        Recipe(method="lora", quantization_bit=4)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("output_dir", "/etc"),
        ("overwrite_output_dir", True),
        ("trust_remote_code", True),
        ("swanlab_api_key", "secret"),
        ("hf_hub_token", "secret"),
        ("report_to", "wandb"),
        ("push_to_hub", True),
        ("hub_model_id", "me/mine"),
        ("deepspeed", "ds.json"),
        ("adapter_name_or_path", "/etc"),
        ("resume_from_checkpoint", "/etc"),
        ("finetuning_type", "full"),
        ("learning_rate", 1.0),
        ("neftune_noise_alpha", {"a": 1}),
        ("default_system", "${oc.env:HOME}"),
        ("no name", 1),
    ],
)
def test_an_extra_argument_that_is_not_ones_own_is_refused(name: str, value: object) -> None:
    with pytest.raises(InvalidRequest) as refused:
        Recipe(extra={name: value})
    assert "secret" not in str(refused.value)


def test_arguments_follow_from_the_fields() -> None:
    told = Recipe(max_steps=30, extra={"use_dora": True}).arguments()
    assert told["max_steps"] == 30
    assert told["learning_rate"] == 1e-3
    assert (told["lora_rank"], told["lora_alpha"]) == (16, 32)
    assert told["use_dora"] is True
    assert not {"quantization_bit", "val_size", "eval_steps", "eval_strategy"} & told.keys()
    json.dumps(told, allow_nan=False)


def test_epochs_count_where_no_steps_are_asked_for() -> None:
    told = Recipe(epochs=2).arguments()
    assert (told["num_train_epochs"], told["max_steps"]) == (2, -1)


def test_full_trains_no_adapter_and_goes_slower() -> None:
    told = Recipe(method="full").arguments()
    assert (told["finetuning_type"], told["learning_rate"]) == ("full", 2e-5)
    assert not any(name.startswith("lora") for name in told)


def test_qlora_quantises_to_four_bits() -> None:
    told = Recipe(method="qlora").arguments()
    assert (told["finetuning_type"], told["quantization_bit"]) == ("lora", 4)


def test_rows_held_back_are_evaluated() -> None:
    told = Recipe(val_size=0.1, eval_steps=5).arguments()
    assert (told["val_size"], told["eval_strategy"], told["eval_steps"]) == (0.1, "steps", 5)


def test_a_recipe_travels_as_json() -> None:
    recipe = Recipe(method="qlora", max_steps=7, extra={"neftune_noise_alpha": 5})
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


def test_an_unknown_field_is_not_ignored() -> None:
    with pytest.raises(InvalidRequest, match="epoch is unknown") as refused:
        Recipe.from_dict({"epoch": 3})
    assert "extra" in refused.value.remedy


def test_a_form_can_be_made_from_the_schema() -> None:
    schema = {asked["name"]: asked for asked in Recipe.schema()}
    assert list(schema) == list(Recipe().to_dict())
    assert schema["epochs"]["type"] == "number"
    assert schema["max_steps"]["optional"] is True
    assert schema["method"]["choices"] == ["lora", "qlora", "full"]
    assert (schema["batch_size"]["minimum"], schema["batch_size"]["unit"]) == (1, "rows")
    assert all(asked["label"] and asked["help"] for asked in schema.values())
    json.dumps(list(schema.values()), allow_nan=False)


def test_a_form_that_is_left_alone_is_the_default() -> None:
    defaults = {asked["name"]: asked["default"] for asked in Recipe.schema()}
    assert Recipe.from_dict(defaults) == Recipe()


def test_presets_differ() -> None:
    assert [preset.name for preset in PRESETS] == ["quick look", "balanced", "thorough"]
    assert len({str(preset.recipe.arguments()) for preset in PRESETS}) == 3
