"""Generated from raft_internal.proto by rpc/proto/generate.py. Do not edit."""

from __future__ import annotations

from . import membership_pb2  # noqa: F401
from . import rpc_pb2  # noqa: F401
from ._pool import load

DESCRIPTOR = load(
    __name__,
    globals(),
    b'\n\x13raft_internal.proto\x12\x0cetcdserverpb\x1a\x10membership.proto\x1a\trpc.proto"`\n\rRequ'
    b'estHeader\x12\x0e\n\x02ID\x18\x01 \x01(\x04R\x02ID\x12\x1a\n\x08username\x18\x02 \x01(\tR\x08username\x12#\n\rauth_revision\x18\x03'
    b' \x01(\x04R\x0cauthRevision"p\n\x1bInternalAuthenticateRequest\x12\x12\n\x04name\x18\x01 \x01(\tR\x04name\x12\x1a\n'
    b'\x08password\x18\x02 \x01(\tR\x08password\x12!\n\x0csimple_token\x18\x03 \x01(\tR\x0bsimpleToken"\x0f\n\rEmptyRes'
    b'ponse"\xd9\x12\n\x13InternalRaftRequest\x123\n\x06header\x18d \x01(\x0b2\x1b.etcdserverpb.RequestHead'
    b'erR\x06header\x12\x0e\n\x02ID\x18\x01 \x01(\x04R\x02ID\x120\n\x05range\x18\x03 \x01(\x0b2\x1a.etcdserverpb.RangeRequestR\x05r'
    b'ange\x12*\n\x03put\x18\x04 \x01(\x0b2\x18.etcdserverpb.PutRequestR\x03put\x12C\n\x0cdelete_range\x18\x05 \x01(\x0b2 '
    b'.etcdserverpb.DeleteRangeRequestR\x0bdeleteRange\x12*\n\x03txn\x18\x06 \x01(\x0b2\x18.etcdserverp'
    b'b.TxnRequestR\x03txn\x12?\n\ncompaction\x18\x07 \x01(\x0b2\x1f.etcdserverpb.CompactionRequestR\n'
    b'compaction\x12@\n\x0blease_grant\x18\x08 \x01(\x0b2\x1f.etcdserverpb.LeaseGrantRequestR\nleaseG'
    b'rant\x12C\n\x0clease_revoke\x18\t \x01(\x0b2 .etcdserverpb.LeaseRevokeRequestR\x0bleaseRevok'
    b'e\x120\n\x05alarm\x18\n \x01(\x0b2\x1a.etcdserverpb.AlarmRequestR\x05alarm\x12O\n\x10lease_checkpoint\x18'
    b'\x0b \x01(\x0b2$.etcdserverpb.LeaseCheckpointRequestR\x0fleaseCheckpoint\x12A\n\x0bauth_ena'
    b'ble\x18\xe8\x07 \x01(\x0b2\x1f.etcdserverpb.AuthEnableRequestR\nauthEnable\x12D\n\x0cauth_disable\x18'
    b'\xf3\x07 \x01(\x0b2 .etcdserverpb.AuthDisableRequestR\x0bauthDisable\x12N\n\x0cauthenticate\x18\xf4\x07'
    b' \x01(\x0b2).etcdserverpb.InternalAuthenticateRequestR\x0cauthenticate\x12A\n\x0bauth_st'
    b'atus\x18\xf5\x07 \x01(\x0b2\x1f.etcdserverpb.AuthStatusRequestR\nauthStatus\x12E\n\rauth_user_ad'
    b'd\x18\xcc\x08 \x01(\x0b2 .etcdserverpb.AuthUserAddRequestR\x0bauthUserAdd\x12N\n\x10auth_user_del'
    b'ete\x18\xcd\x08 \x01(\x0b2#.etcdserverpb.AuthUserDeleteRequestR\x0eauthUserDelete\x12E\n\rauth_'
    b'user_get\x18\xce\x08 \x01(\x0b2 .etcdserverpb.AuthUserGetRequestR\x0bauthUserGet\x12g\n\x19auth_u'
    b'ser_change_password\x18\xcf\x08 \x01(\x0b2+.etcdserverpb.AuthUserChangePasswordRequestR'
    b'\x16authUserChangePassword\x12X\n\x14auth_user_grant_role\x18\xd0\x08 \x01(\x0b2&.etcdserverpb.Au'
    b'thUserGrantRoleRequestR\x11authUserGrantRole\x12[\n\x15auth_user_revoke_role\x18\xd1\x08 \x01('
    b"\x0b2'.etcdserverpb.AuthUserRevokeRoleRequestR\x12authUserRevokeRole\x12H\n\x0eauth_u"
    b'ser_list\x18\xd2\x08 \x01(\x0b2!.etcdserverpb.AuthUserListRequestR\x0cauthUserList\x12H\n\x0eauth'
    b'_role_list\x18\xd3\x08 \x01(\x0b2!.etcdserverpb.AuthRoleListRequestR\x0cauthRoleList\x12E\n\rau'
    b'th_role_add\x18\xb0\t \x01(\x0b2 .etcdserverpb.AuthRoleAddRequestR\x0bauthRoleAdd\x12N\n\x10aut'
    b'h_role_delete\x18\xb1\t \x01(\x0b2#.etcdserverpb.AuthRoleDeleteRequestR\x0eauthRoleDelet'
    b'e\x12E\n\rauth_role_get\x18\xb2\t \x01(\x0b2 .etcdserverpb.AuthRoleGetRequestR\x0bauthRoleGet'
    b'\x12j\n\x1aauth_role_grant_permission\x18\xb3\t \x01(\x0b2,.etcdserverpb.AuthRoleGrantPermis'
    b'sionRequestR\x17authRoleGrantPermission\x12m\n\x1bauth_role_revoke_permission\x18\xb4\t \x01'
    b'(\x0b2-.etcdserverpb.AuthRoleRevokePermissionRequestR\x18authRoleRevokePermiss'
    b'ion\x12W\n\x13cluster_version_set\x18\x94\n \x01(\x0b2&.membershippb.ClusterVersionSetReques'
    b'tR\x11clusterVersionSet\x12a\n\x17cluster_member_attr_set\x18\x95\n \x01(\x0b2).membershippb.Cl'
    b'usterMemberAttrSetRequestR\x14clusterMemberAttrSet\x12T\n\x12downgrade_info_set\x18\x96\n'
    b' \x01(\x0b2%.membershippb.DowngradeInfoSetRequestR\x10downgradeInfoSet\x12`\n\x16downgra'
    b'de_version_test\x18\xacM \x01(\x0b2).etcdserverpb.DowngradeVersionTestRequestR\x14downg'
    b'radeVersionTestJ\x04\x08\x02\x10\x03R\x02v2b\x06proto3'
)
