"""The API of what runs ask people."""

from typing import cast
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from execution import reporting
from execution.large_values import Kept
from execution.models import Review
from execution.pagination import PendingFirstPagination
from execution.parsers import StorableJSONParser
from execution.review_serializers import DecisionSerializer, ReviewSerializer
from execution.services import decide_review


class ReviewsView(generics.ListAPIView[Review]):
    """What the user's runs ask people."""

    serializer_class = ReviewSerializer
    pagination_class = PendingFirstPagination

    def get_queryset(self) -> QuerySet[Review]:
        """Return the questions with what sorts them."""
        return reporting.find_reviews(user_id=int(self.request.user.pk or 0))

    @extend_schema(operation_id="list_reviews", tags=["reviews"])
    def get(self, request: Request) -> Response:
        """List what your runs ask people, undecided questions first."""
        return self.list(request)


class DecideReviewView(APIView):
    """Deciding."""

    parser_classes = [StorableJSONParser]
    required_scopes = {"POST": "execute"}
    idempotent_methods = ("POST",)

    @extend_schema(
        operation_id="decide_review",
        tags=["reviews"],
        request=DecisionSerializer,
        responses=ReviewSerializer,
        examples=[OpenApiExample("Yes", value={"approved": True, "message": "Looks good."}, request_only=True)],
    )
    def post(self, request: Request, review_id: UUID) -> Response:
        """Answer a question; its run goes on. What was decided before stays decided (409)."""
        user = cast(AbstractBaseUser, request.user)
        review = reporting.get_review(review_id=review_id, user_id=user.pk)
        wanted = DecisionSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        decision = wanted.validated_data
        decide_review(
            user=user,
            review=review,
            approved=decision["approved"],
            data=decision.get("data", Kept(review.data)),
            message=decision["message"],
        )
        return Response(ReviewSerializer(reporting.get_review(review_id=review_id, user_id=user.pk)).data)
