"""Continuation points for asyncua's server, which has none."""

from typing import Any

import pytest
from asyncua import ua
from asyncua.server.uaprocessor import UaProcessor
from asyncua.ua.ua_binary import struct_from_binary

from tests.adapters.opcua.plc import Plc

__all__ = ["Pages"]


class Pages:
    """Teaches asyncua's server continuation points, which it does not have."""

    def __init__(self, plc: Plc, patch: pytest.MonkeyPatch, *, size: int, most_points: int = 10) -> None:
        self._size = size
        self._most_points = most_points
        self._browse = plc.server.iserver.view_service.browse
        self.open: dict[bytes, list[ua.ReferenceDescription]] = {}
        self.given = 0
        self.released = 0
        self.next_requests = 0
        patch.setattr(plc.server.iserver.view_service, "browse", self.browse)
        process = UaProcessor._process_message

        async def with_next(processor: UaProcessor, kind: ua.NodeId, header: Any, sequence: Any, body: Any) -> bool:
            if kind != ua.NodeId(ua.ObjectIds.BrowseNextRequest_Encoding_DefaultBinary):
                return await process(processor, kind, header, sequence, body)
            response = ua.BrowseNextResponse()
            response.Parameters.Results = self.next(struct_from_binary(ua.BrowseNextParameters, body))
            processor.send_response(header.RequestHandle, sequence, response)
            return True

        patch.setattr(UaProcessor, "_process_message", with_next)

    def browse(self, parameters: ua.BrowseParameters) -> list[ua.BrowseResult]:
        return [self._page(result.References, result.StatusCode) for result in self._browse(parameters)]

    def next(self, parameters: ua.BrowseNextParameters) -> list[ua.BrowseResult]:
        self.next_requests += 1
        rests = [self.open.pop(point) for point in parameters.ContinuationPoints]
        if parameters.ReleaseContinuationPoints:
            self.released += len(rests)
            return []
        return [self._page(rest, ua.StatusCode()) for rest in rests]

    def _page(self, references: list[ua.ReferenceDescription], status: ua.StatusCode) -> ua.BrowseResult:
        if len(references) <= self._size:
            return ua.BrowseResult(status, None, references)
        if len(self.open) >= self._most_points:
            return ua.BrowseResult(ua.StatusCode(ua.StatusCodes.BadNoContinuationPoints), None, [])
        self.given += 1
        point = b"%d" % self.given
        self.open[point] = references[self._size :]
        return ua.BrowseResult(status, point, references[: self._size])
