"""Commands for single analyses: flags derived from declarations, and what they do."""

from __future__ import annotations

import json
import os
import pickle

import numpy as np
import pytest
import torch

import landscape
from landscape.base.registry import discover
from landscape.cli.analyses import parse_option
from landscape.zoo.problem_options import ProblemOptions


class TestAnalysisCommands:
    @pytest.mark.parametrize("name", list(discover()))
    def test_help_lists_every_option(self, name, invoke):
        """Oracle: the declaration."""
        result = invoke(name, "--help")
        assert result.exit_code == 0
        for option, field in discover()[name].params.model_fields.items():
            assert f"--{option.replace('_', '-')}" in result.output
            words = " ".join(result.output.split())
            assert field.description.split()[0] in words

    def test_switches_that_may_be_none_are_switches(self, invoke):
        """Oracle: the words of the help."""
        assert "--shuffle / --no-shuffle" in " ".join(invoke("batch_spectra", "--help").output.split())

    def test_help_lists_the_choices_of_options_that_may_be_none(self, invoke):
        """Oracle: the declaration of ``align``."""
        assert "--align weights|activations" in " ".join(invoke("connect", "--help").output.split())

    def test_spectrum_of_a_checkpoint(self, invoke, folder):
        """Oracle: the library call."""
        folder.add("m0")
        arguments = ("--model", "toy_models:mlp", "--data", "toy_data:blobs")
        more = ("--model-kwargs", '{"width": 3}', "--weight-decay", 0.1, "--k", 2, "--which", "LA")
        result = invoke("spectrum", folder.root / "m0.pt", *arguments, *more)
        assert result.exit_code == 0, result.output
        assert "saved to spectrum-m0.h5" in result.output
        ds = landscape.open("spectrum-m0.h5")
        model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2))
        model.load_state_dict(torch.load(folder.root / "m0.pt"))
        x = torch.randn(12, 2, generator=torch.Generator().manual_seed(0))
        problem = landscape.Problem(model, "cross_entropy", (x, (x.sum(1) > 0).long()), weight_decay=0.1)
        direct = landscape.spectrum(problem, k=2, which="LA")
        np.testing.assert_array_equal(ds["eigenvalues"], direct["eigenvalues"])
        assert json.loads(ds.attrs["parameters"])["k"] == 2

    def test_every_option_of_a_problem_is_a_flag(self, invoke, folder):
        """Oracle: the library call, with the same function and the keys renamed by hand.

        The checkpoint's keys begin with ``net.`` beside others; the function halves the inputs.
        """
        path = folder.add("m0")
        state = torch.load(path)
        torch.save({f"net.{k}": v for k, v in state.items()} | {"other.x": torch.zeros(1)}, path)
        (folder.root / "halves.py").write_text("def forward(model, batch):\n    return model(batch[0] / 2)\n")
        arguments = ("--model", "toy_models:mlp", "--data", "toy_data:blobs", "--k", 2)
        flags = ("--forward", "halves:forward", "--prefix", "net.", "--batch-size", 5)
        chosen = ("--parameters", "0.*", "--parameters", "2.bias", "--batchnorm", "train", "--device", "cpu")
        result = invoke("spectrum", path, *arguments, *flags, *chosen)
        assert result.exit_code == 0, result.output
        ds = landscape.open("spectrum-m0.h5")
        model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2))
        model.load_state_dict(state)
        x = torch.randn(12, 2, generator=torch.Generator().manual_seed(0))
        problem = landscape.Problem(
            model, "cross_entropy", (x / 2, (x.sum(1) > 0).long()), parameters=["0.*", "2.bias"], batch_size=5
        )
        np.testing.assert_array_equal(ds["eigenvalues"], landscape.spectrum(problem, k=2)["eigenvalues"])
        shown = invoke("spectrum", "--help").output
        assert all(f"--{name.replace('_', '-')}" in shown for name in ProblemOptions.model_fields)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("none.pt",), "checkpoint '"),
            (("m0.pt", "--k", "many"), "option 'k' of analysis 'spectrum' cannot be 'many'"),
            (("m0.pt", "--which", "XX"), "option 'which' of analysis 'spectrum' cannot be 'XX'"),
            (("m0.pt", "m0.pt"), "takes 1 checkpoint(s); got 2"),
            (("m0.pt", "--model-kwargs", "{"), "--model-kwargs is not JSON"),
            (("m0.pt", "--data-kwargs", "[]"), "--data-kwargs must be a JSON object"),
            (
                ("m0.pt", "--batchnorm", "x"),
                "option 'batchnorm' of the problem cannot be 'x': Input should be 'checkpoint' or 'batch'",
            ),
            (("m0.pt", "--loss", "mes"), "there is no loss 'mes'"),
        ],
    )
    def test_mistakes(self, arguments, message, invoke, folder):
        folder.add("m0")
        result = invoke("spectrum", *arguments, "--model", "toy_models:mlp", "--data", "toy_data:blobs")
        assert result.exit_code == 2
        assert message in result.stderr
        assert len(result.stderr.splitlines()) == 1

    def test_a_malicious_pickle_is_refused(self, invoke, folder, tmp_path):
        """Oracle: the folder that its code would make."""

        class Malicious:
            def __reduce__(self):
                return (os.mkdir, (str(tmp_path / "mark"),))

        (folder.root / "evil.pt").write_bytes(pickle.dumps({"x": Malicious()}, protocol=2))
        result = invoke("spectrum", "evil.pt", "--model", "toy_models:mlp", "--data", "toy_data:blobs")
        assert result.exit_code == 2
        assert "mkdir" in result.stderr
        assert not (tmp_path / "mark").exists()

    def test_trusting_pickles_is_explicit_and_loud(self, invoke, folder):
        """Oracle: a whole module in a pickle loads only when trusted, and then with a warning."""
        torch.save(torch.nn.Linear(2, 2), "whole.pt")
        arguments = ("whole.pt", "--model", "torch.nn:Linear", "--data", "toy_data:blobs", "--k", 1)
        arguments += ("--model-kwargs", '{"in_features": 2, "out_features": 2}')
        result = invoke("spectrum", *arguments)
        assert (result.exit_code, "Linear" in result.stderr) == (2, True)
        result = invoke("spectrum", *arguments, "--trust-pickle")
        assert result.exit_code == 0
        assert result.stderr.startswith("WARNING: pickles are trusted")

    @pytest.mark.parametrize(
        ("kind", "text", "value"),
        [
            (int, "5", "5"),
            (int | None, "none", None),
            (bool | None, False, False),
            (bool, True, True),
            (str, "5", "5"),
            (tuple[int, int], "51,51", ["51", "51"]),
            (tuple[int, int], "[51, 51]", [51, 51]),
            (tuple[str, ...], "bias, norm", ["bias", "norm"]),
            (tuple[str, ...], "none", ()),
            (dict[str, int], '{"a": 1}', {"a": 1}),
            (int, "many", "many"),
        ],
    )
    def test_options_are_read_from_text(self, kind, text, value):
        from pydantic.fields import FieldInfo

        assert parse_option(FieldInfo(annotation=kind), text) == value
