"""A Ray cluster of two machines with a CPU each, on loopback: says its address and the second one's processes.

Ends with its stdin. Ray's own class for tests starts the processes that `ray start` does on two machines.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from ray.cluster_utils import Cluster


def main() -> None:
    place = sys.argv[1]
    Path(place, "ray").mkdir()  # which Ray's class takes for there
    machine = {
        "num_cpus": 1,
        "node_ip_address": "127.0.0.1",
        "object_store_memory": 100 * 2**20,
        "include_dashboard": False,
        "temp_dir": str(Path(place, "ray")),
    }
    cluster = Cluster(initialize_head=True, head_node_args=machine)
    second = cluster.add_node(**machine)
    cluster.wait_for_nodes()
    pids = [started.process.pid for of_a_kind in second.all_processes.values() for started in of_a_kind]
    Path(place, "machines.json").write_text(json.dumps({"address": cluster.address, "second": pids}))
    sys.stdin.read()
    cluster.shutdown()


if __name__ == "__main__":
    main()
