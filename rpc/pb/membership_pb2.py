"""Generated from membership.proto by rpc/proto/generate.py. Do not edit."""

from __future__ import annotations

from ._pool import load

DESCRIPTOR = load(
    __name__,
    globals(),
    b'\n\x10membership.proto\x12\x0cmembershippb"L\n\x0eRaftAttributes\x12\x1b\n\tpeer_urls\x18\x01 \x03(\tR\x08p'
    b'eerUrls\x12\x1d\n\nis_learner\x18\x02 \x01(\x08R\tisLearner"A\n\nAttributes\x12\x12\n\x04name\x18\x01 \x01(\tR\x04name'
    b'\x12\x1f\n\x0bclient_urls\x18\x02 \x03(\tR\nclientUrls"\xa6\x01\n\x06Member\x12\x0e\n\x02ID\x18\x01 \x01(\x04R\x02ID\x12E\n\x0fraft_att'
    b'ributes\x18\x02 \x01(\x0b2\x1c.membershippb.RaftAttributesR\x0eraftAttributes\x12E\n\x11member_at'
    b'tributes\x18\x03 \x01(\x0b2\x18.membershippb.AttributesR\x10memberAttributes",\n\x18ClusterVer'
    b'sionSetRequest\x12\x10\n\x03ver\x18\x01 \x01(\tR\x03ver"\x81\x01\n\x1bClusterMemberAttrSetRequest\x12\x1b\n\tmemb'
    b'er_ID\x18\x01 \x01(\x04R\x08memberID\x12E\n\x11member_attributes\x18\x02 \x01(\x0b2\x18.membershippb.Attribut'
    b'esR\x10memberAttributes"E\n\x17DowngradeInfoSetRequest\x12\x18\n\x07enabled\x18\x01 \x01(\x08R\x07enable'
    b'd\x12\x10\n\x03ver\x18\x02 \x01(\tR\x03verb\x06proto3'
)
