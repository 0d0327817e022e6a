"""The `scaling` command: a Hydra application that runs one study, or every combination of a multirun."""

from __future__ import annotations

import os
import sys

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from scaling.cli.version import version
from scaling.config.places import CONF


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def app(cfg: DictConfig) -> None:
    """One job. A user's mistake is written down and told at the end, so that it does not stop the other jobs."""
    from scaling.cli.job import run_job
    from scaling.config.compose import as_run

    runtime = HydraConfig.get()
    overrides = list(runtime.overrides.task)
    run_job(as_run(cfg, runtime.runtime.choices, overrides), overrides, runtime.mode == RunMode.MULTIRUN)


def main() -> None:
    """Runs the command; exit code 1 and one line for whatever a user can mend, the traceback on request."""
    from scaling.cli.errors import failures, one_line, share_failures
    from scaling.cli.quiet import quiet_libraries
    from scaling.config.hidden import refuse_hidden
    from scaling.config.own import import_from_here
    from scaling.config.plugins import register
    from scaling.config.quick import spelled

    if "--version" in sys.argv[1:]:
        print(f"scaling {version()}")
        return
    quiet_libraries()
    import_from_here()  # where one's own search or verifier lies
    register()
    sys.argv[1:] = spelled(sys.argv[1:])
    debug = any(argument == "debug=true" for argument in sys.argv)
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # exceptions come here instead of being printed by Hydra
    share_failures()
    try:
        refuse_hidden(sys.argv[1:])
        app()
    except (HydraException, OmegaConfBaseException, ValueError, OSError) as error:
        if debug:
            raise
        sys.exit(f"scaling: {one_line(error, CONF)}")
    except Exception as error:
        if debug:
            raise
        if type(error).__module__.startswith(("submitit", "ray")):
            sys.exit(f"scaling: a job was lost ({one_line(error)}); the same command runs again what is missing")
        sys.exit(f"scaling: {one_line(error)}")
    if failed := failures():
        sys.exit("\n".join(failed))
