"""Accounts in the admin: users with their time zone, and API keys."""

from typing import Any, Final

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest

from config.accounts.keys import make_key, revoke_key
from config.models import ApiKey, Notice, Profile, Scope
from scheduling.moments import list_zones


class ProfileForm(forms.ModelForm[Profile]):
    """The profile, with a time zone that there is."""

    class Meta:
        model = Profile
        fields = ["chosen_time_zone"]

    def clean_chosen_time_zone(self) -> str:
        """Refuse what is no zone, as the API does."""
        name: str = self.cleaned_data["chosen_time_zone"]
        if name and name not in list_zones():
            raise forms.ValidationError("This is not the name of an IANA time zone, such as Europe/Berlin.")
        return name


class ProfileInline(admin.StackedInline[Profile, User]):
    """The time zone, on the user's page."""

    model = Profile
    form = ProfileForm
    can_delete = False
    verbose_name_plural = "profile"

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: it is made with the user."""
        del request, obj
        return False


class UserWithProfileAdmin(UserAdmin[User]):
    """Users."""

    inlines = [ProfileInline]

    def get_inlines(self, request: HttpRequest, obj: User | None) -> Any:
        """Leave the profile out while the user is made."""
        return super().get_inlines(request, obj) if obj else []


class ApiKeyForm(forms.ModelForm[ApiKey]):
    """What a new key is for, and what it may do."""

    scopes = forms.MultipleChoiceField(
        choices=[(scope.value, scope.value) for scope in Scope], widget=forms.CheckboxSelectMultiple
    )

    class Meta:
        model = ApiKey
        fields = ["user", "name", "scopes", "expires_at"]


_NOTED: Final = ("last_used_at", "suspended_at", "revoked_at")


@admin.register(ApiKey)
class ApiKeyAdmin(admin.ModelAdmin[ApiKey]):
    """API keys: made here or over the API, shown once, revoked here or there."""

    form = ApiKeyForm
    list_display = [
        "shown",
        "name",
        "user",
        "scopes",
        "created_at",
        "expires_at",
        "last_used_at",
        "suspended_at",
        "revoked_at",
    ]
    list_select_related = ["user"]
    list_filter = ["revoked_at"]
    search_fields = ["shown", "name", "user__username"]
    autocomplete_fields = ["user"]
    readonly_fields = ["shown", "created_at", *_NOTED]
    actions = ["revoke"]
    show_full_result_count = False

    def get_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        """Ask for what a new key needs; show the rest of one that is there."""
        del request
        asked = ["user", "name", "scopes", "expires_at"]
        return ["shown", *asked, "created_at", *_NOTED] if obj else asked

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: what a key may do is settled when it is made."""
        del request, obj
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let those look who may change keys elsewhere."""
        return super().has_view_permission(request, obj) or super().has_change_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        """Make the key and show it, this once."""
        del obj, change
        made = make_key(**form.cleaned_data)
        form.instance.__dict__.update(made.key.__dict__)
        messages.warning(request, f"The key, which is shown this once: {made.secret}")

    @admin.action(description="Revoke the selected keys", permissions=["delete"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        """End the keys for good."""
        for key in queryset:
            revoke_key(key)
        messages.success(request, "The keys are revoked.")


@admin.register(Notice)
class NoticeAdmin(admin.ModelAdmin[Notice]):
    """What users were told."""

    list_display = ["created_at", "user", "kind", "text", "read_at", "awaits_mail"]
    list_select_related = ["user"]
    list_filter = ["kind", "awaits_mail"]
    search_fields = ["user__username"]
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: they tell of what has happened."""
        del request
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: what was told was told."""
        del request, obj
        return False


admin.site.unregister(User)
admin.site.register(User, UserWithProfileAdmin)
