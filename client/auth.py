"""Users, roles, and whether they count: `client.auth`. To log in, give `connect` a user and a password."""

from __future__ import annotations

from typing import Any, Final, Literal

from ..rpc.pb.auth_pb2 import Permission, UserAddOptions
from ..rpc.pb.rpc_pb2 import (
    AuthDisableRequest,
    AuthDisableResponse,
    AuthEnableRequest,
    AuthEnableResponse,
    AuthRoleAddRequest,
    AuthRoleAddResponse,
    AuthRoleDeleteRequest,
    AuthRoleDeleteResponse,
    AuthRoleGetRequest,
    AuthRoleGetResponse,
    AuthRoleGrantPermissionRequest,
    AuthRoleGrantPermissionResponse,
    AuthRoleListRequest,
    AuthRoleListResponse,
    AuthRoleRevokePermissionRequest,
    AuthRoleRevokePermissionResponse,
    AuthStatusRequest,
    AuthStatusResponse,
    AuthUserAddRequest,
    AuthUserAddResponse,
    AuthUserChangePasswordRequest,
    AuthUserChangePasswordResponse,
    AuthUserDeleteRequest,
    AuthUserDeleteResponse,
    AuthUserGetRequest,
    AuthUserGetResponse,
    AuthUserGrantRoleRequest,
    AuthUserGrantRoleResponse,
    AuthUserListRequest,
    AuthUserListResponse,
    AuthUserRevokeRoleRequest,
    AuthUserRevokeRoleResponse,
)
from .call import Caller
from .keys import KeysLike, keys_of

__all__ = ["Access", "Auth"]

Access = Literal["read", "write", "readwrite"]
_ACCESS: Final = {
    "read": Permission.READ,
    "write": Permission.WRITE,
    "readwrite": Permission.READWRITE,
}


class Auth:
    """Calls about users and roles. Most need the role root once auth is on."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def _call(self, name: str, request: Any) -> Any:
        return await self._caller.call(f"Auth/{name}", request)

    # --- the switch -------------------------------------------------------------------------------

    async def enable(self) -> AuthEnableResponse:
        """From now on everybody must log in. Raises RootUserNotExist, RootRoleNotExist."""
        response: AuthEnableResponse = await self._call("AuthEnable", AuthEnableRequest())
        return response

    async def disable(self) -> AuthDisableResponse:
        """Everybody may do everything again."""
        response: AuthDisableResponse = await self._call("AuthDisable", AuthDisableRequest())
        return response

    async def status(self) -> AuthStatusResponse:
        """Whether auth is on (`enabled`), and the revision of users and roles (`authRevision`)."""
        response: AuthStatusResponse = await self._call("AuthStatus", AuthStatusRequest())
        return response

    # --- users ------------------------------------------------------------------------------------

    async def user_add(self, name: str, password: str | None = None) -> AuthUserAddResponse:
        """Add a user; without a password only a certificate's common name logs in as it. Raises UserAlreadyExist."""
        request = AuthUserAddRequest(
            name=name,
            password=password or "",
            options=UserAddOptions(no_password=password is None),
        )
        response: AuthUserAddResponse = await self._call("UserAdd", request)
        return response

    async def user_get(self, name: str) -> AuthUserGetResponse:
        """The `roles` of a user. Raises UserNotFound."""
        response: AuthUserGetResponse = await self._call("UserGet", AuthUserGetRequest(name=name))
        return response

    async def user_list(self) -> AuthUserListResponse:
        """The names of all `users`."""
        response: AuthUserListResponse = await self._call("UserList", AuthUserListRequest())
        return response

    async def user_delete(self, name: str) -> AuthUserDeleteResponse:
        """Remove a user. Raises UserNotFound."""
        request = AuthUserDeleteRequest(name=name)
        response: AuthUserDeleteResponse = await self._call("UserDelete", request)
        return response

    async def user_change_password(
        self, name: str, password: str
    ) -> AuthUserChangePasswordResponse:
        """Give a user another password. Raises UserNotFound."""
        request = AuthUserChangePasswordRequest(name=name, password=password)
        response: AuthUserChangePasswordResponse = await self._call("UserChangePassword", request)
        return response

    async def user_grant_role(self, name: str, role: str) -> AuthUserGrantRoleResponse:
        """Give a user a role. Raises UserNotFound, RoleNotFound."""
        request = AuthUserGrantRoleRequest(user=name, role=role)
        response: AuthUserGrantRoleResponse = await self._call("UserGrantRole", request)
        return response

    async def user_revoke_role(self, name: str, role: str) -> AuthUserRevokeRoleResponse:
        """Take a role from a user. Raises UserNotFound, RoleNotGranted."""
        request = AuthUserRevokeRoleRequest(name=name, role=role)
        response: AuthUserRevokeRoleResponse = await self._call("UserRevokeRole", request)
        return response

    # --- roles ------------------------------------------------------------------------------------

    async def role_add(self, role: str) -> AuthRoleAddResponse:
        """Add a role, which may do nothing yet. Raises RoleAlreadyExist."""
        response: AuthRoleAddResponse = await self._call("RoleAdd", AuthRoleAddRequest(name=role))
        return response

    async def role_get(self, role: str) -> AuthRoleGetResponse:
        """What a role may do, in `perm`. Raises RoleNotFound."""
        response: AuthRoleGetResponse = await self._call("RoleGet", AuthRoleGetRequest(role=role))
        return response

    async def role_list(self) -> AuthRoleListResponse:
        """The names of all `roles`."""
        response: AuthRoleListResponse = await self._call("RoleList", AuthRoleListRequest())
        return response

    async def role_delete(self, role: str) -> AuthRoleDeleteResponse:
        """Remove a role, from its users, too. Raises RoleNotFound."""
        request = AuthRoleDeleteRequest(role=role)
        response: AuthRoleDeleteResponse = await self._call("RoleDelete", request)
        return response

    async def role_grant_permission(
        self, role: str, keys: KeysLike, access: Access = "readwrite"
    ) -> AuthRoleGrantPermissionResponse:
        """Let a role read or write keys, by the cluster's names of them. Raises RoleNotFound.

        Args:
            role: which.
            keys: a key, or a range as `prefix("job/")`.
            access: "read", "write" or "readwrite".
        """
        wanted = keys_of(keys)
        perm = Permission(permType=_ACCESS[access], key=wanted.key, range_end=wanted.range_end)
        request = AuthRoleGrantPermissionRequest(name=role, perm=perm)
        response: AuthRoleGrantPermissionResponse = await self._call("RoleGrantPermission", request)
        return response

    async def role_revoke_permission(
        self, role: str, keys: KeysLike
    ) -> AuthRoleRevokePermissionResponse:
        """Take a permission back, by the same keys as it was granted. Raises RoleNotFound, PermissionNotGranted."""
        wanted = keys_of(keys)
        request = AuthRoleRevokePermissionRequest(
            role=role, key=wanted.key, range_end=wanted.range_end
        )
        response: AuthRoleRevokePermissionResponse = await self._call(
            "RoleRevokePermission", request
        )
        return response
