"""check.py NOTICES SBOM...: says whether each SBOM keeps CycloneDX's schema, and whether together they name each crate of THIRD-PARTY-NOTICES."""

import json
import re
import sys

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

notices, *sboms = sys.argv[1:]
faults = []
named = set()
for path in sboms:
    with open(path, encoding="utf-8") as file:
        text = file.read()
    sbom = json.loads(text)
    version = "V" + sbom["specVersion"].replace(".", "_")
    fault = JsonStrictValidator(SchemaVersion[version]).validate_str(text)
    if fault:
        faults.append(f"{path}: {fault}")
    if "serialNumber" in sbom or re.search(r"file:///(?!usr/src/weir)", text):
        faults.append(f"{path}: has a number or a folder that another machine would not give it")
    named |= {(part["name"], part["version"]) for part in sbom["components"]}

# The list of THIRD-PARTY-NOTICES: two spaces, name and version of each crate and of each npm package.
with open(notices, encoding="utf-8") as file:
    listed = file.read().split("\n\n")[2]
crates = re.findall(r"^  (\S+) (\S+) ", listed, re.MULTILINE)
for crate in crates:
    if crate not in named:
        faults.append(f"no SBOM names {crate[0]} {crate[1]}")
if len(crates) < 50:
    faults.append(f"{notices} lists {len(crates)} crates")

print("\n".join(faults) or f"{len(sboms)} SBOMs name {len(crates)} crates")
sys.exit(bool(faults))
