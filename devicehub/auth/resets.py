"""Lost passwords: a challenge, a mailed one-time code for it, and the token the code is exchanged for.

Asking is answered before anything is looked up, alike for every address; a job does the rest. Codes are answered
alike too, for challenges that belong to nobody and such as never were. A code is kept as a keyed hash, in Redis;
challenges, tries and requests are counted in MongoDB. A reset token is bound to the version of the password, so
that setting another uses it up.
"""

import secrets
from datetime import timedelta
from math import ceil

from bson import ObjectId
from pymongo import ReturnDocument

from devicehub.audit import service as audit
from devicehub.auth import proofs
from devicehub.auth.errors import InvalidOtp, InvalidResetToken
from devicehub.auth.models import PasswordChallenge
from devicehub.core import clock, crypto, mongo, redis
from devicehub.core.actor import Actor
from devicehub.jobs import service as jobs
from devicehub.mail import service as mail
from devicehub.organizations import service as organizations
from devicehub.users.models import User

PREFIX = "dhp1"
LIFE = timedelta(minutes=10)
TRIES = 5
REQUESTS, REQUEST_WINDOW = 3, timedelta(hours=1)
JOB, REQUESTED = "auth.send_otp", "otp_requests"


def begin(email: str) -> str:
    """Take note that somebody has lost the password of an address; returns the challenge a code will be for."""
    challenge = PasswordChallenge(
        id=crypto.random_token(16),
        account=proofs.account(email),
        email=email.lower(),
        expires_at=clock.now() + LIFE,
    )
    challenge.save(force_insert=True)
    jobs.enqueue(JOB, {"challengeId": challenge.id}, key=f"{JOB}:{challenge.id}")
    return str(challenge.id)


def send_code(challenge_id: str, *, attempt: int) -> None:
    """Mail a code for a challenge, if it is anybody's and not the fourth within an hour; the job's work.

    A further attempt makes another code, since nobody knows the one before. Raises RedisAway.
    """
    challenge: PasswordChallenge | None = PasswordChallenge.objects(id=challenge_id).first()
    if challenge is None or challenge.email is None:
        return
    user: User | None = User.objects(email=challenge.email).first()
    if user is not None and challenge.expires_at > clock.now() and _is_granted(challenge):
        _make_and_mail(challenge, user, attempt)
    PasswordChallenge.objects(id=challenge_id).update_one(unset__email=True)


def _is_granted(challenge: PasswordChallenge) -> bool:
    """Count a request for an address; asking again about the same one gives the same answer."""
    moment = clock.now()
    known = {"$ifNull": ["$requests", []]}
    recent = {"$filter": {"input": known, "cond": {"$gt": ["$$this.at", moment - REQUEST_WINDOW]}}}
    is_free = {
        "$and": [
            {"$lt": [{"$size": "$requests"}, REQUESTS]},
            {"$not": [{"$in": [challenge.id, "$requests.id"]}]},
        ]
    }
    grown = {"$concatArrays": ["$requests", [{"id": challenge.id, "at": moment}]]}
    row = mongo.database()[REQUESTED].find_one_and_update(
        {"_id": challenge.account},
        [
            {"$set": {"requests": recent, "expires_at": moment + REQUEST_WINDOW}},
            {"$set": {"requests": {"$cond": [is_free, grown, "$requests"]}}},
        ],
        upsert=True,
        return_document=ReturnDocument.AFTER,
    )
    return row is not None and challenge.id in [request["id"] for request in row["requests"]]


def _make_and_mail(challenge: PasswordChallenge, user: User, attempt: int) -> None:
    code = f"{secrets.randbelow(10**6):06}"
    left = challenge.expires_at - clock.now()
    proof = _proof(challenge.id, code)
    redis.current().call(lambda client: client.set(_key(challenge.id), proof, px=left))
    PasswordChallenge.objects(id=challenge.id).update_one(set__user_id=user.id)
    mail.send(
        "otp",
        user.email,
        {"code": code, "minutes": ceil(left / timedelta(minutes=1))},
        key=f"otp:{challenge.id}:{attempt}",
        user_id=str(user.id),
        dies_at=challenge.expires_at,
    )
    _record(user, "user.password_reset_requested")


def verify(challenge_id: str, code: str) -> str:
    """Exchange a code for a reset token, once.

    Raises InvalidOtp, in the same words for one that is wrong, used, too old, not the newest, or nobody's; and
    RedisAway, which counts as no try.
    """
    kept: bytes | None = redis.current().call(lambda client: client.get(_key(challenge_id)))
    challenge = _try(challenge_id)
    is_right = crypto.same(_proof(challenge_id, code), (kept or b"").decode())
    if is_right and challenge.tries <= TRIES and _is_newest(challenge) and _use_up(challenge):
        user: User | None = User.objects(id=challenge.user_id).first()
        if user is not None and proofs.account(user.email) == challenge.account:  # or it is another's mail by now
            _record(user, "user.password_reset_proven")
            return proofs.seal(PREFIX, user.id, user.password_version, challenge.account, life=LIFE)
    # Not recorded: that would take longer for an address that has an account.
    raise InvalidOtp(attempts_remaining=max(0, TRIES - challenge.tries))


def _try(challenge_id: str) -> PasswordChallenge:
    """Count a try; a challenge that never was is counted like others."""
    challenge: PasswordChallenge = PasswordChallenge.objects(id=challenge_id).modify(
        upsert=True, new=True, inc__tries=1, set_on_insert__expires_at=clock.now() + LIFE
    )
    return challenge


def _is_newest(challenge: PasswordChallenge) -> bool:
    row = mongo.database()[REQUESTED].find_one({"_id": challenge.account})
    return row is not None and bool(row["requests"][-1]["id"] == challenge.id)


def _use_up(challenge: PasswordChallenge) -> bool:
    moment = clock.now()
    unused = PasswordChallenge.objects(id=challenge.id, used_at=None, expires_at__gt=moment)
    return bool(unused.update_one(set__used_at=moment))


def _record(user: User, action: str) -> None:
    """Tell the audit trail of the organization they sign in to first."""
    for organization_id, role in list(organizations.memberships(str(user.id)).items())[:1]:
        audit.record(Actor(str(user.id), organization_id, role), action, target=str(user.id))


def owner(reset_token: str) -> User:
    """Whose password a reset token may set; raises InvalidResetToken when it is none, used or too old."""
    facts = proofs.unseal(PREFIX, reset_token)
    user: User | None = User.objects(id=ObjectId(facts[0])).first() if facts else None
    if facts is None or user is None or facts[1:] != [str(user.password_version), proofs.account(user.email)]:
        raise InvalidResetToken()
    return user


def _key(challenge_id: str) -> str:
    return f"otp:{challenge_id}"


def _proof(challenge_id: str, code: str) -> str:
    return proofs.of("otp", challenge_id, code)
