import pytest

from scaling.cli.study.command import main


def test_a_figure_is_named_or_all_are_asked_for(capsys):
    with pytest.raises(SystemExit):
        main(["figure"])
    assert "name a figure" in capsys.readouterr().err


def test_missing_runs_are_one_line(tmp_path, capsys):
    assert main(["figure", "fig06", "--outputs", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        f"error: {tmp_path / 'fig06'} holds no runs yet; make them: scaling -m experiment=fig06\n"
    )
    assert main(["figure", "--all", "--outputs", str(tmp_path)]) == 1
    assert "holds none of fig01" in capsys.readouterr().err
    assert main(["sync", str(tmp_path)]) == 1
    assert "holds no run" in capsys.readouterr().err
    assert main(["report"]) == 1
    assert "name a study's folder" in capsys.readouterr().err
    assert main(["advise", str(tmp_path), "--budget", "100"]) == 1
    assert "holds no run with a curve.csv" in capsys.readouterr().err


def test_both_commands_say_their_version(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from scaling.cli import run
    from scaling.cli.version import version

    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert not ended.value.code and capsys.readouterr().out == f"scaling-study {version()}\n"
    monkeypatch.setattr("sys.argv", ["scaling", "--version"])
    run.main()
    assert capsys.readouterr().out == f"scaling {version()}\n"
