"""20,000 monitored items in one session, signed and encrypted."""

from pathlib import Path

import pytest
from asyncua import ua

from tests.adapters.opcua.certificates import make
from tests.adapters.opcua.plc import Rig
from tests.adapters.opcua.secured import SecuredPlc, site, trust
from tests.waiting import until

MADE = make()

ITEMS = 20_000
CHANGED = 500


@pytest.mark.timeout(240)
async def test_twenty_thousand_items_in_one_encrypted_session_telegraf_14568(tmp_path: Path) -> None:
    """telegraf#14568: creation failed beyond 1,000 nodes, with encryption."""
    plc = await SecuredPlc.open(MADE, policies=[ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt])
    here = site(tmp_path)
    trust(here, MADE)
    try:
        await plc.put({f"t{index}": float(index) for index in range(ITEMS)})
        created: list[int] = []
        create = plc.service.create_monitored_items

        async def counted(parameters: ua.CreateMonitoredItemsParameters) -> list[ua.MonitoredItemCreateResult]:
            created.append(len(parameters.ItemsToCreate))
            return await create(parameters)

        plc.service.create_monitored_items = counted
        rig = Rig(
            plc.port,
            {f"t{index}": f"ns=2;s=t{index}" for index in range(ITEMS)},
            publishing_interval_ms=100.0,
            timeout_s=30.0,
            security="auto",
            site=here,
        )
        async with rig.running():
            await until(lambda: sum(map(len, rig.batches)) >= ITEMS, within_s=120, every_s=0.1)
            await until(lambda: rig.context.facts["items_monitored"] == ITEMS, within_s=120)
            assert created == [1000] * 20
            assert plc.connections == 1
            assert rig.context.facts["subscriptions"] == 1
            assert plc.policies_in_use == [("Basic256Sha256", "SignAndEncrypt")]
            for index in range(0, ITEMS, ITEMS // CHANGED):
                await plc.write(f"t{index}", ua.DataValue(ua.Variant(-1.0 - index)))
            await until(lambda: sum(map(len, rig.batches)) >= ITEMS + CHANGED, within_s=60, every_s=0.1)
        latest = {reading.point: reading.value for batch in rig.batches for reading in batch}
        assert len(latest) == ITEMS
        assert all(
            latest[101 + index] == (float(index) if index % (ITEMS // CHANGED) else -1.0 - index)
            for index in range(ITEMS)
        )
        # The standard's limit of one message is ours too: no message is too large to be held.
        assert max(map(len, rig.batches)) <= 10_000
    finally:
        await plc.stop()
