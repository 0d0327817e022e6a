"""What Hydra is told about parts that lie outside conf/: those named by their file, and those of installed packages."""

from __future__ import annotations

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from typing_extensions import override

from scaling.config.hidden import refuse_hidden_of_packages
from scaling.config.own import ENTRY_POINTS, installed, names_a_part, node_of, package_folders


class PartsSource(ConfigSource):
    """Options that no yaml describes: `search=my_search.py:Halfway`, and entry points by their names."""

    @staticmethod
    @override
    def scheme() -> str:
        return "scaling-parts"

    @override
    def load_config(self, config_path: str) -> ConfigResult:
        from omegaconf import OmegaConf

        group, choice = _split(config_path)
        header = {"package": "_global_" if group == "model" else None}
        node = OmegaConf.create(node_of(group, choice))
        return ConfigResult(provider=self.provider, path=self.full_path(), config=node, header=header)

    @override
    def is_group(self, config_path: str) -> bool:
        return config_path in ENTRY_POINTS

    @override
    def is_config(self, config_path: str) -> bool:
        group, choice = _split(config_path)
        return group in ENTRY_POINTS and (names_a_part(choice) or choice in _names(group))

    @override
    def available(self) -> bool:
        return True

    @override
    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        wanted = config_path in ENTRY_POINTS and results_filter != ObjectType.GROUP
        return _names(config_path) if wanted else []


class PartsPath(SearchPathPlugin):
    """Puts them after our own options, which they cannot hide; where they would, a ValueError says so."""

    @override
    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        refuse_hidden_of_packages()
        for folder in package_folders():
            search_path.append("scaling-package", f"file://{folder}")
        search_path.append("scaling-parts", f"{PartsSource.scheme()}://")


def register() -> None:
    """Makes them known to Hydra, once a process; before anything is composed."""
    for plugin in (PartsSource, PartsPath):
        Plugins.instance().register(plugin)


def _split(config_path: str) -> tuple[str, str]:
    group, _, choice = config_path.removesuffix(".yaml").partition("/")
    return group, choice


def _names(group: str) -> list[str]:
    return [point.name for point in installed(group)]
