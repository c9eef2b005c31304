package clover

# The guardrails and permits of policies/starter that speak of rows read by employees, said again for a peer. What
# speaks of workloads, exports, counts and people's own records is left out, which is less work than Clover has.

default allow := false

allow if {
	count(forbidden) == 0
	permitted
}

field := data.fields[input.field]

class := field.class

inside if data.region[input.place]

destination if data.destinations[input.place]

plain if input.action == "releasePlain"

private if class != "public"

fresh if {
	input["case"].approved_at <= input.now
	input.now - input["case"].approved_at <= 7200
}

live if {
	input.grant.holder == input.who
	input.grant.not_before <= input.now
	input.now < input.grant.not_after
}

forbidden contains "G1" if {
	plain
	class == "restricted"
	not inside
}

forbidden contains "G4" if not input.managed
forbidden contains "G4" if not input.attested
forbidden contains "G4" if not input.mfa

forbidden contains "G5" if input.rows > 10000

forbidden contains "G7" if {
	plain
	data.heightened[input.place]
}

forbidden contains "G8" if {
	class == "restricted"
	not inside
}

forbidden contains "G11" if {
	plain
	class == "allowable"
	not inside
	not own_case
}

own_case if {
	input["case"].engineer == input.who
	input["case"].subject == input.subject
	input.subjects <= 1
	fresh
}

forbidden contains "G13" if {
	not inside
	not destination
}

forbidden contains "G14" if {
	private
	input.grant.subject
	not for_subject
}

for_subject if {
	input.subject == input.grant.subject
	input.subjects <= 1
}

forbidden contains "G15" if {
	private
	input.grant.fields
	not input.grant.fields in field.lists
}

forbidden contains "G16" if {
	private
	input.grant.not_after - input.grant.not_before > 2592000
}

forbidden contains "G16p" if {
	plain
	class == "restricted"
	input.grant.not_after - input.grant.not_before > 28800
}

forbidden contains "G17" if {
	private
	input.grant
	not approved
}

approved if {
	input.grant.approver.who != input.grant.holder
	data.region[input.grant.approver.place]
}

forbidden contains "G17c" if {
	private
	input["case"]
	not case_approved
}

case_approved if {
	input["case"].approver.who != input["case"].engineer
	data.region[input["case"].approver.place]
}

forbidden contains "G19" if {
	private
	not live
	not case_open
}

case_open if {
	input["case"].engineer == input.who
	input["case"].open
}

permitted if {
	inside
	input.trained
	not input.grant.incident
	live
	input.grant.purpose == input.purpose
	input.grant.dataset == input.dataset
}

permitted if {
	input.action == "releasePseudonymised"
	class == "allowable"
	input.trained
	not input.grant.incident
	live
	input.grant.purpose == input.purpose
	input.grant.dataset == input.dataset
}

permitted if {
	plain
	class == "allowable"
	input.trained
	input.purpose == "support"
	input["case"].open
	input["case"].kind == "videoNotShown"
	own_case
	input.rows <= 200
	input["case"].fields in field.lists
}

permitted if {
	plain
	class == "public"
}

permitted if {
	input.action in {"releasePseudonymised", "releaseGeneralised", "releaseMasked"}
	class == "public"
}
