"""Generated from v3election.proto by rpc/proto/generate.py. Do not edit."""

from __future__ import annotations

from . import kv_pb2  # noqa: F401
from . import rpc_pb2  # noqa: F401
from ._pool import load

DESCRIPTOR = load(
    __name__,
    globals(),
    b'\n\x10v3election.proto\x12\x0cv3electionpb\x1a\x08kv.proto\x1a\trpc.proto"Y\n\tLeaderKey\x12\x12\n\x04na'
    b'me\x18\x01 \x01(\x0cR\x04name\x12\x10\n\x03key\x18\x02 \x01(\x0cR\x03key\x12\x10\n\x03rev\x18\x03 \x01(\x03R\x03rev\x12\x14\n\x05lease\x18\x04 \x01(\x03R\x05lease'
    b'"Q\n\x0fCampaignRequest\x12\x12\n\x04name\x18\x01 \x01(\x0cR\x04name\x12\x14\n\x05lease\x18\x02 \x01(\x03R\x05lease\x12\x14\n\x05value\x18\x03'
    b' \x01(\x0cR\x05value"y\n\x10CampaignResponse\x124\n\x06header\x18\x01 \x01(\x0b2\x1c.etcdserverpb.ResponseH'
    b'eaderR\x06header\x12/\n\x06leader\x18\x02 \x01(\x0b2\x17.v3electionpb.LeaderKeyR\x06leader"X\n\x0fProcla'
    b'imRequest\x12/\n\x06leader\x18\x01 \x01(\x0b2\x17.v3electionpb.LeaderKeyR\x06leader\x12\x14\n\x05value\x18\x02 \x01('
    b'\x0cR\x05value"H\n\x10ProclaimResponse\x124\n\x06header\x18\x01 \x01(\x0b2\x1c.etcdserverpb.ResponseHead'
    b'erR\x06header"#\n\rLeaderRequest\x12\x12\n\x04name\x18\x01 \x01(\x0cR\x04name"h\n\x0eLeaderResponse\x124\n\x06hea'
    b'der\x18\x01 \x01(\x0b2\x1c.etcdserverpb.ResponseHeaderR\x06header\x12 \n\x02kv\x18\x02 \x01(\x0b2\x10.mvccpb.Key'
    b'ValueR\x02kv"@\n\rResignRequest\x12/\n\x06leader\x18\x01 \x01(\x0b2\x17.v3electionpb.LeaderKeyR\x06lea'
    b'der"F\n\x0eResignResponse\x124\n\x06header\x18\x01 \x01(\x0b2\x1c.etcdserverpb.ResponseHeaderR\x06hea'
    b'der2\xf2\x02\n\x08Election\x12I\n\x08Campaign\x12\x1d.v3electionpb.CampaignRequest\x1a\x1e.v3election'
    b'pb.CampaignResponse\x12I\n\x08Proclaim\x12\x1d.v3electionpb.ProclaimRequest\x1a\x1e.v3elect'
    b'ionpb.ProclaimResponse\x12C\n\x06Leader\x12\x1b.v3electionpb.LeaderRequest\x1a\x1c.v3electi'
    b'onpb.LeaderResponse\x12F\n\x07Observe\x12\x1b.v3electionpb.LeaderRequest\x1a\x1c.v3election'
    b'pb.LeaderResponse0\x01\x12C\n\x06Resign\x12\x1b.v3electionpb.ResignRequest\x1a\x1c.v3electionp'
    b'b.ResignResponseb\x06proto3'
)
