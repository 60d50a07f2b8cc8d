package console

import (
	"net/http"
	"slices"
	"strings"

	"dialgate/console/access"
	"dialgate/console/webhook"
	"dialgate/policy"
)

// A hooksData is the page of webhooks.
type hooksData struct {
	Hooks       []hookView
	Secret      string // that was just made
	Roles       []access.Role
	Advertisers []string
	Campaigns   []CampaignState
	Reasons     []policy.Reason
	Asked       newHook
}

// Tells reports whether the form asks for an event.
func (d hooksData) Tells(event string) bool { return slices.Contains(d.Asked.Events, event) }

func (v *view) hooks() error {
	return v.showHooks(http.StatusOK, newHook{Role: access.Viewer, Events: []string{webhook.Decision, webhook.Objection}})
}

func (v *view) showHooks(status int, asked newHook) error {
	v.Name = "settings"
	state := v.s.o.Node.State()
	d := hooksData{Roles: hookRoles, Asked: asked, Campaigns: state.Campaigns, Reasons: policy.Reasons()}
	for id := range state.Names {
		d.Advertisers = append(d.Advertisers, id)
	}
	slices.Sort(d.Advertisers)
	for _, h := range v.s.hooks.List() {
		d.Hooks = append(d.Hooks, v.s.viewHook(h))
	}
	if v.r.Method == http.MethodGet {
		d.Secret, _ = v.session.Take("webhook secret").(string)
	}
	return v.show(status, "webhooks", v.T("Webhooks"), d)
}

func (v *view) makeHook() error {
	f := v.r.PostFormValue
	n := newHook{Name: strings.TrimSpace(f("name")), URL: strings.TrimSpace(f("url")), Role: access.Role(f("role")), Advertiser: f("advertiser"), Events: v.r.PostForm["event"],
		Verdict: f("verdict"), Reason: f("reason"), Campaign: f("campaign")}
	secret, _, err := v.s.addHook(v.Who(), &n)
	if err != nil {
		if err := v.wrong(err); err != nil {
			return err
		}
		return v.showHooks(http.StatusUnprocessableEntity, n)
	}
	v.session.Keep("webhook secret", secret)
	v.tell("The webhook is made.")
	return v.away("/settings/webhooks")
}

// changeHook does with an endpoint what its button says.
func (v *view) changeHook() error {
	id := v.r.PathValue("id")
	var err error
	switch v.r.PostFormValue("do") {
	case "test":
		var r webhook.Result
		if r, err = v.s.hooks.Test(v.r.Context(), id); err == nil && r.Delivered() {
			v.tell("The test was taken: %d, after %d ms.", r.Status, r.Took.Milliseconds())
		} else if err == nil {
			v.tell("The test was not taken: %s", r.Why)
		}
	case "rotate":
		var secret string
		if secret, err = v.s.rotateHook(v.Who(), id); err == nil {
			v.session.Keep("webhook secret", secret)
			v.tell("The webhook has a new secret. For a day both sign.")
		}
	case "enable":
		if err = v.s.hooks.Enable(id, false); err == nil {
			v.tell("The webhook is enabled, and goes on from where it stood.")
		}
	case "skip":
		if err = v.s.hooks.Enable(id, true); err == nil {
			v.tell("The webhook is enabled, and is told of what comes from now on.")
		}
	case "remove":
		if err = v.s.dropHook(v.Who(), id); err == nil {
			v.tell("The webhook is removed.")
		}
	default:
		err = problem(http.StatusBadRequest, v.T("There is no such page."))
	}
	if err != nil {
		return hookProblem(err)
	}
	return v.away("/settings/webhooks")
}
